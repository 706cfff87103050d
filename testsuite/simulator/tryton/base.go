package tryton

// base are the models that both systems have.
func base() []*Model {
	return []*Model{
		{
			Name: "party.party", Fixed: true, Title: "Party", Fields: []string{"name", "code", "active"}, Unique: "code", Index: "code",
			Links:    map[string]Link{"customer_location": {Model: "stock.location"}},
			Defaults: map[string]any{"active": true, "customer_location": int64(LocationCustomer)},
		},
		{
			Name: "party.address", Fixed: true, Title: "Address", Parent: "party", Required: []string{"party"},
			Fields: []string{"party_name", "name", "street", "postal_code", "city", "active"},
			Links:  map[string]Link{"party": {Model: "party.party"}, "country": {Model: "country.country"}},
			Defaults: map[string]any{
				"active": true, "party_name": nil, "name": nil, "street": nil, "postal_code": nil, "city": nil, "country": nil,
			},
		},
		{Name: "country.country", Fixed: true, Title: "Country", Fields: []string{"name", "code"}, Index: "code"},
		{Name: "currency.currency", Fixed: true, Title: "Currency", Fields: []string{"name", "code", "digits", "rate"}, Index: "code"},
		{
			Name: "company.company", Fixed: true, Title: "Company",
			Links: map[string]Link{"party": {Model: "party.party"}, "currency": {Model: "currency.currency"}},
		},
		{
			Name: "stock.location", Fixed: true, Title: "Stock Location", Fields: []string{"name", "code", "type"}, Index: "code",
			Links: map[string]Link{
				"parent": {Model: "stock.location"}, "input_location": {Model: "stock.location"},
				"output_location": {Model: "stock.location"}, "storage_location": {Model: "stock.location"},
			},
		},
		{
			Name: "ir.note", Title: "Note", Fields: []string{"message", "resource"}, Parent: "resource", Required: []string{"resource"},
			Defaults: map[string]any{"message": nil},
		},
		{Name: "res.user.warning", Fixed: true, Title: "User Warning", Fields: []string{"user", "name", "always"}, Index: "name"},
	}
}

// The locations, with the ids that a new Tryton database gives them.
const (
	LocationInput     = 1
	LocationOutput    = 2
	LocationStorage   = 3
	LocationLost      = 4
	LocationWarehouse = 5
	LocationSupplier  = 6
	LocationCustomer  = 7
)

// Seed makes the records of a new database: locations, countries, currencies and
// one company in the first of them.
func (t *Tx) Seed(currencies ...Currency) {
	t.Fill("stock.location", []map[string]any{
		{"name": "Input Zone", "code": "IN", "type": "storage", "parent": int64(LocationWarehouse)},
		{"name": "Output Zone", "code": "OUT", "type": "storage", "parent": int64(LocationWarehouse)},
		{"name": "Storage Zone", "code": "STO", "type": "storage", "parent": int64(LocationWarehouse)},
		{"name": "Lost and Found", "code": nil, "type": "lost_found"},
		{
			"name": "Warehouse", "code": "WH", "type": "warehouse", "input_location": int64(LocationInput),
			"output_location": int64(LocationOutput), "storage_location": int64(LocationStorage),
		},
		{"name": "Supplier", "code": "SUP", "type": "supplier"},
		{"name": "Customer", "code": "CUS", "type": "customer"},
	})
	var lands []map[string]any
	for i := range len(countries) / 2 {
		code := countries[2*i : 2*i+2]
		lands = append(lands, map[string]any{"name": code, "code": code})
	}
	t.Fill("country.country", lands)
	for _, c := range currencies {
		t.Insert("currency.currency", map[string]any{"name": c.Code, "code": c.Code, "digits": c.Digits, "rate": Decimal(c.Rate)})
	}
	shop := t.Insert("party.party", map[string]any{"name": "Shop", "code": "1", "active": true})
	t.Insert("company.company", map[string]any{"party": shop, "currency": int64(1)})
}

// Currency is a currency with its rate to the company's.
type Currency struct {
	Code   string
	Digits int64
	Rate   string
}

// countries are the ISO 3166-1 alpha-2 codes.
const countries = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZ" +
	"DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJP" +
	"KEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOM" +
	"PAPEPFPGPHPKPLPMPNPRPSPTPWPYQAREROSRSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZ" +
	"UAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW"
