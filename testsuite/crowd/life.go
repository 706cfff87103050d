package crowd

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Life is what has become of an order by the moment of its crowd. What did not
// happen yet, or never will, has no time.
type Life struct {
	N         int
	Order     order.Order
	Failed    time.Time // nobody paid: the attempt is closed and the stock released
	Cancelled time.Time // taken back before it left
	Parcels   []Parcel
	Return    *Return

	asOf time.Time
}

// Parcel is what leaves at once. The warehouse was asked for the first with all
// of the goods, and for the second with what the first has left over.
type Parcel struct {
	Lines     []order.Quantity
	Shipped   time.Time
	Delivered time.Time
}

// Return is goods that come back, and their money.
type Return struct {
	Lines     []order.Quantity
	Announced time.Time
	Received  time.Time
	Restocked time.Time
	Amount    int64 // what goes back once they were received
}

// Life returns the n-th order.
func (c *Crowd) Life(n int) Life {
	r := c.random(n)
	l := Life{N: n, Order: c.orderOf(n, r), asOf: c.AsOf.UTC()}
	placed, waiting := l.Order.PlacedAt, 80+cmp.Or(c.Waiting, 20)
	switch chance := r.IntN(1000); {
	case chance < 30:
		l.Failed = l.happened(placed.Add(35 * time.Minute))
	case chance < 80:
		l.Cancelled = l.happened(placed.Add(time.Duration(20+r.IntN(90)) * time.Minute))
		l.Parcels = []Parcel{{Lines: l.Order.AllLines()}}
	default:
		after := 3*time.Hour + time.Duration(r.IntN(20*60))*time.Minute
		if chance < waiting {
			after = 5 * day // it waits for goods
		}
		l.ship(placed.Add(after), chance >= waiting && chance < waiting+100, r)
		if r.IntN(12) == 0 {
			l.giveBack(r)
		}
	}
	return l
}

// happened returns a moment if it is past.
func (l *Life) happened(at time.Time) time.Time {
	if at.After(l.asOf) {
		return time.Time{}
	}
	return at
}

// ship lets the goods leave, in two parcels where that is possible and wanted.
func (l *Life) ship(at time.Time, apart bool, r *rand.Rand) {
	all := l.Order.AllLines()
	parts := [][]order.Quantity{all}
	if first := []order.Quantity{{Line: 1, SKU: all[0].SKU, Quantity: 1}}; apart && (len(all) > 1 || all[0].Quantity > 1) {
		parts = [][]order.Quantity{first, order.Less(l.Order, all, first)}
	}
	for i, lines := range parts {
		p := Parcel{Lines: lines, Shipped: l.happened(at.Add(time.Duration(i) * 26 * time.Hour))}
		if !p.Shipped.IsZero() {
			p.Delivered = l.happened(p.Shipped.Add(20*time.Hour + time.Duration(r.IntN(30*60))*time.Minute))
		}
		l.Parcels = append(l.Parcels, p)
	}
}

// giveBack lets one piece, or everything, come back some days after the last
// parcel has arrived; some soon enough to be there again before the youngest sealed
// day is three days old.
func (l *Life) giveBack(r *rand.Rand) {
	arrived := l.Parcels[len(l.Parcels)-1].Delivered
	after, takes, all := time.Duration(1+r.IntN(4))*day, 2*day, r.IntN(3) == 0
	if r.IntN(10) == 0 {
		after, takes = 12*time.Hour, day
	}
	if arrived.IsZero() {
		return
	}
	back := Return{Announced: l.happened(arrived.Add(after))}
	if back.Announced.IsZero() {
		return
	}
	first := l.Order.Lines[0]
	back.Lines = []order.Quantity{{Line: 1, SKU: first.SKU, Quantity: 1}}
	if all {
		back.Lines = l.Order.AllLines()
	}
	back.Received = l.happened(back.Announced.Add(takes))
	if !back.Received.IsZero() {
		back.Restocked = l.happened(back.Received.Add(time.Hour))
		back.Amount = l.Order.Total - order.ValueOf(l.Order, order.Less(l.Order, l.Order.AllLines(), back.Lines))
	}
	l.Return = &back
}

// The moments of what our own workflow does follow from the others.
func (l Life) authorized() time.Time { return l.Order.PlacedAt.Add(2 * time.Second) }
func (l Life) booked() time.Time     { return l.Order.PlacedAt.Add(4 * time.Second) }

func soon(at time.Time) time.Time { return at.Add(3 * time.Second) }

// accepted says that the order passed the pivot.
func (l Life) accepted() bool {
	return len(l.Parcels) > 0 // what fails here was never paid
}

// out are the parcels that have left.
func (l Life) out() []Parcel {
	for n, p := range l.Parcels {
		if p.Shipped.IsZero() {
			return l.Parcels[:n]
		}
	}
	return l.Parcels
}

// left are the goods that have not left yet and still are to.
func (l Life) left() []order.Quantity {
	if !l.Cancelled.IsZero() || !l.accepted() {
		return nil
	}
	rest := l.Order.AllLines()
	for _, p := range l.out() {
		rest = order.Less(l.Order, rest, p.Lines)
	}
	return rest
}

// share is the money of the n-th parcel, from 0.
func (l Life) share(n int) order.Share {
	var before []order.Quantity
	for _, p := range l.Parcels[:n] {
		before = append(before, p.Lines...)
	}
	return order.ShareOf(l.Order, before, l.Parcels[n].Lines)
}

// captured is what was taken for what has left.
func (l Life) captured() int64 {
	sum := int64(0)
	for n := range l.out() {
		sum += l.share(n).Total
	}
	return sum
}

// refunded is what went back.
func (l Life) refunded() int64 {
	if l.Return == nil {
		return 0
	}
	return l.Return.Amount
}

// key is the key of an intent of the order.
func (l Life) key(o order.Operation, n int) string {
	return order.Intent{Order: l.Order.ID, Operation: o, N: n}.Key()
}

// Payment is the gateway's id of one of the order's attempts, from 1.
func (l Life) Payment(attempt int) string { return fmt.Sprintf("pi_%014d", 10*(l.N+1)+attempt) }
