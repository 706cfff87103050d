// Holds our side against HubSpot's official client, whose models are generated
// from HubSpot's own description. Reads one JSON object from standard input:
//   url, token  of the simulated CRM
//   calls       [{method, path, status, body, answer}] that the adapter made
//   webhooks    [{url, body, signature, timestamp, secret}] of the simulated CRM
// Prints one line per difference; silence is agreement.
'use strict';
const path = require('path');
const root = path.join(process.env.TRUEUP_REAL_HUBSPOT, 'node_modules/@hubspot/api-client');
const hubspot = require(root);
const { Signature } = require(path.join(root, 'lib/src/utils/signature'));

const problems = [];
const say = (text) => problems.push(text);

// models of one generated folder, by name
const models = (folder) => {
  const loaded = require(path.join(root, 'lib/codegen/crm', folder, 'models/all'));
  return (name) => loaded[name];
};

// What each call sends and gets, in the generated models.
const batch = (kind) => [kind, 'BatchReadInputSimplePublicObjectId', { 200: 'BatchResponseSimplePublicObject', 207: 'BatchResponseSimplePublicObjectWithErrors' }];
const shapes = (kind) => [
  ['GET', new RegExp(`^/crm/v3/objects/${kind}/[^/]+$`), [kind, null, { 200: 'SimplePublicObjectWithAssociations' }]],
  ['POST', new RegExp(`^/crm/v3/objects/${kind}$`), [kind, 'SimplePublicObjectInputForCreate', { 201: 'SimplePublicObject' }]],
  ['PATCH', new RegExp(`^/crm/v3/objects/${kind}/[^/]+$`), [kind, 'SimplePublicObjectInput', { 200: 'SimplePublicObject' }]],
  ['POST', new RegExp(`^/crm/v3/objects/${kind}/batch/read$`), batch(kind)],
  ['POST', new RegExp(`^/crm/v3/objects/${kind}/search$`), [kind, 'PublicObjectSearchRequest', { 200: /^CollectionResponseWithTotalSimplePublicObject/ }]],
];
const all = [
  ...shapes('contacts'), ...shapes('deals'),
  ['GET', /^\/crm\/v4\/objects\/[a-z]+\/[0-9]+\/associations\/[a-z]+$/, ['associations/v4', null, { 200: /^CollectionResponseMultiAssociatedObjectWithLabel/ }]],
  ['PUT', /^\/crm\/v4\/objects\/[a-z]+\/[0-9]+\/associations\/default\/[a-z]+\/[0-9]+$/, ['associations/v4', null, { 200: 'BatchResponsePublicDefaultAssociation' }]],
  ['GET', /^\/crm\/v3\/properties\/[a-z]+\/[a-z_]+$/, ['properties', null, { 200: 'Property' }]],
  ['POST', /^\/crm\/v3\/properties\/[a-z]+$/, ['properties', 'PropertyCreate', { 201: 'Property' }]],
];

// check holds a value against a generated type; strict refuses unknown names.
function check(at, type, value, find, strict) {
  if (value === null || value === undefined) return;
  const list = /^Array<(.*)>$/.exec(type) || /^Set<(.*)>$/.exec(type);
  if (list) {
    if (!Array.isArray(value)) return say(`${at} is no list; want ${type}`);
    return value.forEach((v, i) => check(`${at}[${i}]`, list[1], v, find, strict));
  }
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
  if (map) {
    const inner = map[1].replace(' | null', '');
    return Object.entries(value).forEach(([k, v]) => check(`${at}.${k}`, inner, v, find, strict));
  }
  switch (type) {
    case 'any': return;
    case 'string': if (typeof value !== 'string') say(`${at} is ${JSON.stringify(value)}; want a string`); return;
    case 'number': if (typeof value !== 'number') say(`${at} is ${JSON.stringify(value)}; want a number`); return;
    case 'boolean': if (typeof value !== 'boolean') say(`${at} is ${JSON.stringify(value)}; want a boolean`); return;
    case 'Date': if (isNaN(Date.parse(value))) say(`${at} is ${JSON.stringify(value)}; want a time`); return;
  }
  const model = find(type);
  if (!model || !model.getAttributeTypeMap) {
    if (typeof value !== 'string') say(`${at} is ${JSON.stringify(value)}; want one word of ${type}`);
    return; // an enumeration
  }
  const known = new Map(model.getAttributeTypeMap().map((a) => [a.baseName, a]));
  for (const [name, v] of Object.entries(value)) {
    if (!known.has(name)) {
      if (strict) say(`${at}.${name} is not a field of ${type}`);
      continue;
    }
    check(`${at}.${name}`, known.get(name).type, v, find, strict);
  }
}

function checkCalls(calls) {
  const loaded = {};
  for (const c of calls) {
    const shape = all.find(([method, re]) => method === c.method && re.test(c.path));
    const at = `${c.method} ${c.path}`;
    if (!shape) { say(`${at}: no such call`); continue; }
    const [folder, request, answers] = shape[2];
    const find = (loaded[folder] ||= models(folder));
    const name = (wanted) => (wanted instanceof RegExp ? Object.keys(require(path.join(root, 'lib/codegen/crm', folder, 'models/all'))).find((n) => wanted.test(n)) : wanted);
    if (request) {
      if (!find(request)) say(`${at}: the official client has no ${request}`);
      else check(`${at}: body`, request, c.body, find, true);
    } else if (c.body) say(`${at}: a body where none belongs`);
    const want = c.status >= 400 ? 'ModelError' : answers[c.status] && name(answers[c.status]);
    if (c.status < 400 && !want) say(`${at}: answered ${c.status}; want one of ${Object.keys(answers)}`);
    else if (find(want)) check(`${at}: answer ${c.status}`, want, c.answer, find, false);
  }
}

function checkWebhooks(webhooks) {
  if (webhooks.length === 0) say('no webhook was sent');
  for (const w of webhooks) {
    // The client signs an address as it is given; ours has nothing to decode.
    const want = Signature.getSignature('POST', 'v3', { clientSecret: w.secret, url: w.url, requestBody: w.body, timestamp: Number(w.timestamp) });
    if (want !== w.signature) say(`webhook to ${w.url} is signed ${w.signature}; the official client signs ${want}`);
  }
}

async function refused(what, status, category, f) {
  try {
    await f();
    say(`${what}: was taken`);
  } catch (e) {
    if (e.code !== status || !e.body || e.body.category !== category) say(`${what}: ${e.code} ${JSON.stringify(e.body) || e}; want ${status} ${category}`);
  }
}

// live lets the official client do with the simulated CRM what a program does
// with HubSpot.
async function live(url, token) {
  const client = new hubspot.Client({ accessToken: token, basePath: url, numberOfApiCallRetries: 0 });
  const { contacts, deals, properties, associations } = client.crm;
  const same = (what, got, want) => { if (got !== want) say(`${what} is ${JSON.stringify(got)}; want ${JSON.stringify(want)}`); };

  const made = await properties.coreApi.create('deals', {
    name: 'from_official', label: 'x', description: '', groupName: 'dealinformation', type: 'string', fieldType: 'text', hasUniqueValue: true,
  });
  same('hasUniqueValue of a new property', made.hasUniqueValue, true);
  same('name of a property', (await properties.coreApi.getByName('deals', 'from_official')).name, 'from_official');

  const c = await contacts.basicApi.create({ properties: { email: 'Grace@Example.com', firstname: 'Grace' }, associations: [] });
  same('e-mail of a new contact', c.properties.email, 'grace@example.com');
  same('createdAt is a date', c.createdAt instanceof Date, true);
  const again = await contacts.basicApi.getById('grace@example.com', ['email', 'phone'], undefined, undefined, false, 'email');
  same('contact by e-mail', again.id, c.id);
  same('phone that is not set', again.properties.phone, null);
  await refused('a second contact with the e-mail', 409, 'CONFLICT', () => contacts.basicApi.create({ properties: { email: 'grace@example.com' }, associations: [] }));
  await refused('an unknown property', 400, 'VALIDATION_ERROR', () => contacts.basicApi.update(c.id, { properties: { no_such: 'x' } }));
  await refused('a contact that is not there', 404, 'OBJECT_NOT_FOUND', () => contacts.basicApi.getById('1'));

  const d = await deals.basicApi.create({
    properties: { dealname: 'x', amount: '12.50', dealstage: 'closedwon', from_official: 'u1' },
    associations: [{ to: { id: c.id }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: 3 }] }],
  });
  await refused('a second deal with the unique value', 400, 'VALIDATION_ERROR', () => deals.basicApi.create({ properties: { from_official: 'u1' }, associations: [] }));
  same('deal by unique value', (await deals.basicApi.getById('u1', undefined, undefined, undefined, false, 'from_official')).id, d.id);
  const changed = await deals.basicApi.update('u1', { properties: { amount: '13.00' } }, 'from_official');
  same('amount of a changed deal', changed.properties.amount, '13.00');
  const tied = await associations.v4.basicApi.getPage('contacts', c.id, 'deals', undefined, 500);
  same('associations of the contact', tied.results.map((r) => String(r.toObjectId)).join(), d.id);
  same('status of an association', (await associations.v4.basicApi.createDefault('deals', d.id, 'contacts', c.id)).status, 'COMPLETE');
  const read = await deals.batchApi.read({ inputs: [{ id: d.id }, { id: '7' }], properties: ['amount'], propertiesWithHistory: [] });
  same('records of a batch', read.results.length, 1);
  same('errors of a batch', read.numErrors, 1);
  const found = await deals.searchApi.doSearch({
    filterGroups: [{ filters: [{ propertyName: 'from_official', operator: 'EQ', value: 'u1' }] }],
    sorts: ['-createdate'], properties: ['amount'], limit: 1,
  });
  same('total of a search', found.total, 1);
  same('result of a search', found.results[0].id, d.id);
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const input = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  checkCalls(input.calls);
  checkWebhooks(input.webhooks);
  try {
    await live(input.url, input.token);
  } catch (e) {
    say(`the official client fails on the simulated CRM: ${e.stack || e}`);
  }
  problems.forEach((p) => console.log(p));
}
main();
