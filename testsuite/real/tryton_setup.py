#!/usr/bin/python3
"""Fills an empty Tryton 6.0 database, in process through proteus.

usage: tryton_setup.py warehouse|erp URI CONFIG

Both get a company in EUR with USD, JPY and KWD beside it. The warehouse gets a
warehouse WH with 1000 pieces each of the goods A, B, C and D. The ERP gets the
minimal chart of accounts, fiscal years around today with invoice sequences, and
a cash journal.
"""
import datetime
import sys
from decimal import Decimal

from proteus import Model, Wizard, config

GOODS = ('A', 'B', 'C', 'D')
CURRENCIES = (  # code, number, digits, rate
    ('EUR', '978', 2, '1.0'), ('USD', '840', 2, '1.25'), ('JPY', '392', 0, '160'), ('KWD', '414', 3, '0.4'))


def currencies():
    Currency = Model.get('currency.currency')
    for code, number, digits, rate in CURRENCIES:
        currency = Currency(
            name=code, code=code, symbol=code, numeric_code=number, digits=digits,
            rounding=Decimal(1).scaleb(-digits))
        currency.rates.new(rate=Decimal(rate), date=datetime.date(2020, 1, 1))
        currency.save()


def countries():
    Country = Model.get('country.country')
    for code, name in (('DE', 'Germany'), ('FR', 'France'), ('US', 'United States')):
        if not Country.find([('code', '=', code)]):
            Country(name=name, code=code).save()


def company():
    Party = Model.get('party.party')
    Currency = Model.get('currency.currency')
    wizard = Wizard('company.company.config')
    wizard.execute('company')
    party = Party(name='Shop')
    party.save()
    wizard.form.party = party
    wizard.form.currency, = Currency.find([('code', '=', 'EUR')])
    wizard.execute('add')
    User = Model.get('res.user')
    cfg = config.get_config()
    cfg._context = User.get_preferences(True, {})
    made, = Model.get('company.company').find([])
    return made


def goods():
    Template = Model.get('product.template')
    unit, = Model.get('product.uom').find([('name', '=', 'Unit')])
    products = []
    for sku in GOODS:
        template = Template(name='Product ' + sku, default_uom=unit, type='goods')
        template.list_price = Decimal('10')
        template.save()
        product, = template.products
        product.suffix_code = sku
        product.save()
        products.append(product)
    return products


def opening_stock(products):
    storage, = Model.get('stock.location').find([('code', '=', 'STO')])
    inventory = Model.get('stock.inventory')(location=storage)
    for product in products:
        line = inventory.lines.new()
        line.product = product
        line.quantity = 1000.0
    inventory.click('confirm')


def chart(made):
    template, = Model.get('account.account.template').find([('parent', '=', None)])
    wizard = Wizard('account.create_chart')
    wizard.execute('account')
    wizard.form.account_template = template
    wizard.form.company = made
    wizard.execute('create_account')
    Account = Model.get('account.account')

    def find(kind):
        accounts = Account.find([('type.' + kind, '=', True), ('company', '=', made.id)], order=[('id', 'ASC')])
        return accounts[0]
    wizard.form.account_receivable = find('receivable')
    wizard.form.account_payable = find('payable')
    wizard.form.category_account_expense = find('expense')
    wizard.form.category_account_revenue = find('revenue')
    wizard.execute('create_properties')


def fiscal_year(made, year):
    SequenceType = Model.get('ir.sequence.type')
    move_type, = SequenceType.find([('name', '=', 'Account Move')])
    invoice_type, = SequenceType.find([('name', '=', 'Invoice')])
    moves = Model.get('ir.sequence')(name='Moves %d' % year, sequence_type=move_type, company=made)
    moves.save()
    Strict = Model.get('ir.sequence.strict')
    fiscal = Model.get('account.fiscalyear')(name=str(year), company=made)
    fiscal.start_date = datetime.date(year, 1, 1)
    fiscal.end_date = datetime.date(year, 12, 31)
    fiscal.post_move_sequence = moves
    kinds = {}
    for kind in ('out_invoice', 'out_credit_note', 'in_invoice', 'in_credit_note'):
        sequence = Strict(
            name='%s %d' % (kind, year), sequence_type=invoice_type, company=made,
            prefix={'out_invoice': 'I', 'out_credit_note': 'C', 'in_invoice': 'S', 'in_credit_note': 'D'}[kind]
            + '%d-' % year)
        sequence.save()
        kinds[kind] = sequence
    line = fiscal.invoice_sequences[0] if fiscal.invoice_sequences else fiscal.invoice_sequences.new()
    for kind, sequence in kinds.items():
        setattr(line, kind + '_sequence', sequence)
    fiscal.save()
    fiscal.click('create_period')


def main():
    kind, uri, config_file = sys.argv[1:4]
    config.set_trytond(uri, config_file=config_file)
    currencies()
    countries()
    made = company()
    if kind == 'warehouse':
        opening_stock(goods())
        return
    chart(made)
    for year in range(datetime.date.today().year - 1, datetime.date.today().year + 2):
        fiscal_year(made, year)


if __name__ == '__main__':
    main()
