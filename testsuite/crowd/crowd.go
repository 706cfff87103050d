// Package crowd makes as many orders as one likes, up to a million and more,
// with what the six simulated systems hold of them and what their own workflows
// mean the systems to say. An order is a function of the crowd's seed and its
// number, so that nothing has to be kept: whoever asks twice, or in another
// process, gets the same order.
//
// Beside the orders that agree it plants breaks of every kind, and orders that
// only settle: see Kinds.
package crowd

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// The lengths that make a crowd.
const (
	// PerDay is how many orders are placed on one of the sealed days.
	PerDay = 10_000
	// Sealed is how many days before today the last sealed one ended.
	Sealed = 3
	// skus is how many goods there are.
	skus = 500
)

const day = 24 * time.Hour

// Crowd is a number of orders as of a moment.
type Crowd struct {
	Seed   uint64
	Orders int // placed on the sealed days
	// Recent are orders placed within the last day, after the sealed ones. Their
	// numbers follow.
	Recent int
	AsOf   time.Time
	// PerDay is how many orders a sealed day has; 0: PerDay.
	PerDay int
	// Waiting is how many of a thousand orders wait for goods some days; 0: 20.
	Waiting int
	// Progress is told during a load how many orders are written; nil: nobody is.
	Progress func(orders int)

	planted map[int]Planted
}

func (c *Crowd) perDay() int {
	if c.PerDay > 0 {
		return c.PerDay
	}
	return PerDay
}

// Len is the number of all orders, which are numbered from 0.
func (c *Crowd) Len() int { return c.Orders + c.Recent }

// Days are the sealed days, by their first moment, the oldest first.
func (c *Crowd) Days() []time.Time {
	n := (c.Orders + c.perDay() - 1) / c.perDay()
	last := c.AsOf.UTC().Truncate(day).Add(-Sealed * day)
	days := make([]time.Time, 0, n)
	for i := range n {
		days = append(days, last.Add(-time.Duration(n-1-i)*day))
	}
	return days
}

// Of returns the numbers of the orders that were placed on the n-th of the days.
func (c *Crowd) Of(n int) (from, to int) {
	return n * c.perDay(), min((n+1)*c.perDay(), c.Orders)
}

// ID is the id of the n-th order. Number finds the order again.
func (c *Crowd) ID(n int) order.ID { return order.ID(fmt.Sprintf("C%08d", n)) }

// Number returns the number of an order by its id, or false when it is none of
// the crowd's.
func (c *Crowd) Number(id order.ID) (int, bool) {
	text, ours := strings.CutPrefix(string(id), "C")
	n, err := strconv.Atoi(text)
	return n, ours && err == nil && n >= 0 && n < c.Len() && c.ID(n) == id
}

// placedAt spreads the orders of a day evenly over it, and the recent ones over
// the day that ends an hour ago.
func (c *Crowd) placedAt(n int) time.Time {
	if n >= c.Orders {
		step := 23 * time.Hour / time.Duration(max(1, c.Recent))
		return c.AsOf.UTC().Add(-day).Add(time.Duration(n-c.Orders) * step).Truncate(time.Second)
	}
	days := c.Days()
	step := day / time.Duration(c.perDay())
	return days[n/c.perDay()].Add(time.Duration(n%c.perDay()) * step).Truncate(time.Second)
}

func (c *Crowd) random(n int) *rand.Rand { return rand.New(rand.NewPCG(c.Seed, uint64(n))) }

// SKU names one of the goods.
func SKU(n int) string { return fmt.Sprintf("SKU-%03d", n) }

// Stock is what lies in storage, and in inventory, of all of them: more than
// the crowd takes.
func Stock() map[string]int {
	stock := map[string]int{}
	for n := range skus {
		stock[SKU(n)] = 10_000_000
	}
	return stock
}

// Channel is where the crowd ordered.
const Channel = "web"

// orderOf makes what the customer asked for. Each customer has two orders.
func (c *Crowd) orderOf(n int, r *rand.Rand) order.Order {
	customer := n / 2
	address := order.Address{
		Name: fmt.Sprintf("Customer %d", customer), Street: fmt.Sprintf("%d Long Street", 1+customer%997), City: "Springfield",
		PostalCode: fmt.Sprintf("%05d", customer%100_000), Country: "DE",
	}
	o := order.Order{
		ID: c.ID(n), PlacedAt: c.placedAt(n), Channel: Channel, Currency: "EUR", ShipTo: address,
		Customer: order.Customer{ID: fmt.Sprintf("K%07d", customer), Email: fmt.Sprintf("k%07d@customers.test", customer), Name: address.Name},
		Payment:  order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip, Multicapture: true},
	}
	lines := 1
	if chance := r.IntN(100); chance < 25 {
		lines = 2
	} else if chance < 30 {
		lines = 3
	}
	first := r.IntN(skus)
	for i := range lines {
		l := order.Line{SKU: SKU((first + 7*i) % skus), Quantity: 1 + int64(r.IntN(3)), UnitPrice: 500 + int64(r.IntN(9_500))}
		if r.IntN(4) == 0 {
			l.Tax = l.Quantity * l.UnitPrice * 19 / 100
		}
		if r.IntN(10) == 0 {
			l.Discount = l.UnitPrice / 10
		}
		o.Lines = append(o.Lines, l)
	}
	if r.IntN(3) == 0 {
		o.Shipping = 490
	}
	if r.IntN(20) == 0 {
		o.CartID = fmt.Sprintf("cart-%08d", n)
	}
	o.Total, _ = o.Sum()
	return o
}
