package tryton_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/erp"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/erp"
)

// held is what the books themselves say of an order: the simulated one's state,
// or what is read from the real one.
func (x fixture) held(t *testing.T, o order.Order) simulated.State {
	t.Helper()
	if x.server != nil {
		state, err := x.server.Holds(o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if seen := x.look(t, o); seen.Balance != state.Balance {
			t.Errorf("the adapter reads a balance of %d, the books hold %d", seen.Balance, state.Balance)
		}
		return state
	}
	seen := x.look(t, o)
	all := func(documents []reconcile.Document, sign int64) (out []simulated.Document) {
		for _, d := range documents {
			out = append(out, simulated.Document{Key: d.Key, State: string(d.State), Total: sign * d.Total})
		}
		return out
	}
	return simulated.State{
		Sales: all(seen.Sales, 1), Invoices: all(seen.Invoices, 1), Credits: all(seen.Credits, -1), Receipts: all(seen.Receipts, 1),
		Balance: seen.Balance,
	}
}

func totals(documents []simulated.Document) (sum int64) {
	for _, d := range documents {
		sum += d.Total
	}
	return sum
}

// keeper books the life of one order, each call as often as told, as after a lost
// answer, and holds the books' balance against its own sum after every step.
type keeper struct {
	*testing.T
	calls                       int
	x                           fixture
	o                           order.Order
	invoices, receipts, credits int
	balance                     int64
	before                      []order.Quantity // invoiced so far
}

func newKeeper(t *testing.T, x fixture, o order.Order, calls int) *keeper {
	t.Helper()
	k := &keeper{T: t, calls: calls, x: x, o: o}
	k.book(o.Total, 0, func() (reconcile.Document, error) { return patiently{x.Client}.RecordSale(t.Context(), sale(o)) })
	return k
}

func (k *keeper) book(total, owed int64, do func() (reconcile.Document, error)) {
	k.Helper()
	k.balance += owed
	for range k.calls {
		d, err := do()
		check(k.T, d, err, total)
	}
	if got := k.x.held(k.T, k.o); got.Balance != k.balance {
		k.Fatalf("%s: the balance is %d after a document over %d, want %d", k.o.Currency, got.Balance, total, k.balance)
	}
}

// invoice books what has shipped.
func (k *keeper) invoice(now []order.Quantity) order.Share {
	k.Helper()
	k.invoices++
	r := invoice(k.o, order.Invoice, k.invoices, k.before, now)
	k.before = order.Plus(k.o, k.before, now)
	k.book(r.Share.Total, r.Share.Total, func() (reconcile.Document, error) { return patiently{k.x.Client}.PostInvoice(k.Context(), r) })
	return r.Share
}

// receipt books money that moved.
func (k *keeper) receipt(amount int64) {
	k.Helper()
	if amount == 0 {
		return // no money moves for pieces that are free
	}
	k.receipts++
	r := receipt(k.o, k.receipts, amount)
	k.book(amount, -amount, func() (reconcile.Document, error) { return patiently{k.x.Client}.PostReceipt(k.Context(), r) })
}

// credit books what was invoiced and given back.
func (k *keeper) credit(share order.Share) {
	k.Helper()
	k.credits++
	r := invoice(k.o, order.Credit, k.credits, nil, nil)
	r.Share = share
	k.book(share.Total, -share.Total, func() (reconcile.Document, error) { return patiently{k.x.Client}.PostCredit(k.Context(), r) })
}

// even says that nobody owes anybody anything, and how many documents there are.
func (k *keeper) even() {
	k.Helper()
	got := k.x.held(k.T, k.o)
	n := []int{len(got.Sales), len(got.Invoices), len(got.Receipts), len(got.Credits)}
	if want := []int{1, k.invoices, k.receipts, k.credits}; got.Balance != 0 || !slices.Equal(n, want) {
		k.Errorf("%s: the balance is %d with %v documents, want 0 and %v", k.o.Currency, got.Balance, n, want)
	}
}

// returned is the share of pieces that come back when all have shipped.
func returned(o order.Order, pieces []order.Quantity) order.Share {
	return order.ShareOf(o, order.Less(o, o.AllLines(), pieces), pieces)
}

func TestBooks_WholeLives_BalanceAtEveryStep(t *testing.T) {
	t.Parallel()
	piece := []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}}
	for name, life := range map[string]func(k *keeper){
		"two shipments, two captures": func(k *keeper) {
			first := k.invoice(piece)
			k.receipt(first.Total)
			rest := k.invoice(order.Less(k.o, k.o.AllLines(), piece))
			k.receipt(rest.Total)
		},
		"captured before the invoices": func(k *keeper) {
			k.receipt(order.ValueOf(k.o, piece))
			k.receipt(k.o.Total - order.ValueOf(k.o, piece))
			k.invoice(piece)
			k.invoice(order.Less(k.o, k.o.AllLines(), piece))
		},
		"captured at once, a line dropped": func(k *keeper) {
			k.receipt(k.o.Total)
			kept := order.Less(k.o, k.o.AllLines(), []order.Quantity{{Line: 2, SKU: "B", Quantity: 1}})
			k.receipt(order.ValueOf(k.o, kept) - k.o.Total)
			k.invoice(kept)
		},
		"a line returned": func(k *keeper) {
			k.invoice(k.o.AllLines())
			k.receipt(k.o.Total)
			share := returned(k.o, k.o.AllLines()[1:2])
			k.credit(share)
			k.receipt(-share.Total)
		},
		"the money given back before its credit note": func(k *keeper) {
			k.receipt(k.o.Total)
			k.invoice(k.o.AllLines())
			share := returned(k.o, k.o.AllLines()[1:2])
			k.receipt(-share.Total)
			k.credit(share)
		},
		"two equal returns": func(k *keeper) {
			k.invoice(k.o.AllLines())
			k.receipt(k.o.Total)
			for range 2 { // line 3 has neither discount nor tax: equal money
				k.credit(order.Share{
					Lines: []order.LineShare{{Line: 3, SKU: "A", Quantity: 1, UnitPrice: 1, Gross: 1}}, Total: 1,
				})
				k.receipt(-1)
			}
		},
		"goodwill": func(k *keeper) {
			k.invoice(k.o.AllLines())
			k.receipt(k.o.Total)
			k.credit(order.Share{Total: 777})
			k.receipt(-777)
		},
		"a lost dispute": func(k *keeper) {
			k.invoice(k.o.AllLines())
			k.receipt(k.o.Total)
			k.receipt(-k.o.Total)
			k.credit(returned(k.o, k.o.AllLines()))
		},
		"cancelled before it was invoiced": func(k *keeper) {
			k.receipt(k.o.Total)
			k.receipt(-k.o.Total)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				for _, currency := range []order.Currency{"EUR", "JPY", "KWD"} {
					k := newKeeper(t, x, newOrder(currency), 2)
					life(k)
					k.even()
				}
			})
		})
	}
}

// drawBook makes an order with money that divides badly: taxes, discounts, lines
// that are free, a discount larger than the goods of a shipment.
func drawBook(r *rand.Rand, currency order.Currency) order.Order {
	o := newOrder(currency)
	o.Lines = nil
	for i := range 1 + r.IntN(4) {
		l := order.Line{SKU: string(rune('A' + i%3)), Quantity: 1 + r.Int64N(7), UnitPrice: r.Int64N(10_000), Tax: r.Int64N(3_000)}
		if r.IntN(4) == 0 {
			l.UnitPrice, l.Tax = 0, 0
		}
		l.Discount = r.Int64N(l.Quantity*l.UnitPrice + 1)
		o.Lines = append(o.Lines, l)
	}
	o.Shipping, o.ShippingTax, o.Discount = 1+r.Int64N(1_000), r.Int64N(200), 0
	sum, _ := o.Sum()
	o.Discount = r.Int64N(sum)
	o.Total, _ = o.Sum()
	return o
}

// some takes some of the pieces, and at least one.
func some(r *rand.Rand, of []order.Quantity) []order.Quantity {
	var taken []order.Quantity
	for _, q := range of {
		if q.Quantity = r.Int64N(q.Quantity + 1); q.Quantity > 0 {
			taken = append(taken, q)
		}
	}
	if len(taken) == 0 {
		return []order.Quantity{{Line: of[0].Line, SKU: of[0].SKU, Quantity: 1}}
	}
	return taken
}

func TestBooks_AnyCut_EqualsTheShares(t *testing.T) {
	t.Parallel()
	for _, currency := range []order.Currency{"EUR", "JPY", "KWD"} {
		t.Run(string(currency), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				seeds := uint64(4)
				if x.server == nil {
					seeds = 2 // the real one takes its time
				}
				for seed := range seeds {
					r := rand.New(rand.NewPCG(seed, 26))
					k := newKeeper(t, x, drawBook(r, currency), 1)
					for left := k.o.AllLines(); !order.Empty(left); left = order.Less(k.o, k.o.AllLines(), k.before) {
						k.receipt(k.invoice(some(r, left)).Total)
					}
					for kept := k.o.AllLines(); !order.Empty(kept); {
						back := some(r, kept)
						kept = order.Less(k.o, kept, back)
						share := order.ShareOf(k.o, kept, back)
						k.credit(share)
						k.receipt(-share.Total)
					}
					k.even()
					if got := x.held(t, k.o); totals(got.Invoices) != k.o.Total || totals(got.Credits) != -k.o.Total || totals(got.Receipts) != 0 {
						t.Errorf("seed %d: invoices over %d, credits over %d, receipts over %d of an order over %d",
							seed, totals(got.Invoices), totals(got.Credits), totals(got.Receipts), k.o.Total)
					}
				}
			})
		})
	}
}

// The smallest coin of a currency is less than a cent of the books' own.
func TestPostReceipt_SmallestCoin_IsBooked(t *testing.T) {
	t.Parallel()
	for _, currency := range []order.Currency{"EUR", "JPY", "KWD"} {
		t.Run(string(currency), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, x fixture) {
				k := newKeeper(t, x, newOrder(currency), 2)
				k.receipt(1)
				k.receipt(1)
				k.receipt(-2)
				k.even()
			})
		})
	}
}

func TestPostReceipt_IsDated(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	var want []string
	for i, date := range []time.Time{now, month.AddDate(0, -1, 2), month.AddDate(0, -2, 0)} { // in any order
		r := receipt(o, i+1, 100)
		r.Date = date
		if _, err := x.PostReceipt(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want = append(want, date.Format(time.DateOnly))
	}
	var got []string
	for _, d := range x.held(t, o).Receipts {
		got = append(got, d.Date)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dates (-want +got):\n%s", diff)
	}
}

func TestPostCredit_AmountAlone_IsOneUntaxedLine(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, x fixture) {
		k := newKeeper(t, x, newOrder("EUR"), 2)
		k.credit(order.Share{Total: 1234})
		b := raw(t, x)
		id := b.one(t, "account.invoice", []any{"reference", "=", order.Intent{Order: k.o.ID, Operation: order.Credit, N: 1}.Key()})
		b.one(t, "account.invoice.line", []any{"invoice", "=", id}, []any{"account.type.revenue", "=", true}, []any{"quantity", "=", -1})
		if n := string(b.do(t, "account.invoice.line", "search_count", []any{[]any{"invoice", "=", id}})); n != "1" {
			t.Errorf("%s lines, want 1", n)
		}
		if n := string(b.do(t, "account.invoice.tax", "search_count", []any{[]any{"invoice", "=", id}})); n != "0" {
			t.Errorf("%s taxes, want none", n)
		}
	})
}

func TestPosts_OfNothingOrUneven_Invalid(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	uneven := order.ShareOf(o, nil, o.AllLines())
	uneven.Total++
	for name, c := range map[string]struct {
		share order.Share
		post  func(r erp.InvoiceRequest) (reconcile.Document, error)
		as    order.Operation
	}{
		"an invoice of an amount alone": {order.Share{Total: 5}, func(r erp.InvoiceRequest) (reconcile.Document, error) { return x.PostInvoice(t.Context(), r) }, order.Invoice},
		"an uneven invoice":             {uneven, func(r erp.InvoiceRequest) (reconcile.Document, error) { return x.PostInvoice(t.Context(), r) }, order.Invoice},
		"a credit note of nothing":      {order.Share{}, func(r erp.InvoiceRequest) (reconcile.Document, error) { return x.PostCredit(t.Context(), r) }, order.Credit},
		"a negative credit note":        {order.Share{Total: -5}, func(r erp.InvoiceRequest) (reconcile.Document, error) { return x.PostCredit(t.Context(), r) }, order.Credit},
	} {
		r := invoice(o, c.as, 1, nil, o.AllLines())
		r.Share = c.share
		if _, err := c.post(r); err == nil || apierr.CodeOf(err) != apierr.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if n := x.drafts(t, o.ID); n != 0 {
		t.Errorf("%d drafts were made, want none", n)
	}
}

// An invoice whose answer was lost and which lands late is the invoice: it is
// adopted by the repeat, and never doubled.
func TestPostInvoice_TurnsUpLate_IsAdopted(t *testing.T) {
	t.Parallel()
	x := onSimulator(t, simulated.Settings{})
	o := newOrder("EUR")
	r := invoice(o, order.Invoice, 1, nil, o.AllLines())
	x.inject(t, simulator.Fault{Operation: order.Invoice, Kind: simulator.Late, Delay: 50 * time.Millisecond})
	if _, err := open(t, x.url, time.Second).PostInvoice(t.Context(), r); apierr.CodeOf(err) != apierr.InDoubt {
		t.Fatalf("error = %v, want in doubt", err)
	}
	for range 400 { // until the late one has landed
		if x.drafts(t, o.ID) > 0 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	landed := x.held(t, o).Invoices
	if len(landed) != 1 {
		t.Fatalf("invoices = %+v, want the late one", landed)
	}
	d, err := x.PostInvoice(t.Context(), r)
	check(t, d, err, o.Total)
	if got := x.held(t, o).Invoices; len(got) != 1 || got[0].ID != landed[0].ID || x.drafts(t, o.ID) != 1 || x.effects(t, o.ID, order.Invoice) != 1 {
		t.Errorf("invoices = %+v, want only %+v, posted once", got, landed[0])
	}
}
