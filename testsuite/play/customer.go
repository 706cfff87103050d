package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/workflows"
)

// patience is how long a caller waits who was answered by nobody, before they
// try again.
const patience = 15 * time.Second

// ask sends something to the product as whoever waits for the answer while the
// story goes on. What it refuses is an answer, and no error of the story's; who
// is answered by nobody asks again.
func (p *player) ask(what string, send func(ctx context.Context) (said string, err error)) {
	p.world.Later(func(ctx context.Context) {
		said, err := send(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && (!p.world.Answers() || starters.Unreachable(err)): // it may be back by now
			p.story.tell(p.age(), "%s: nobody answers", what)
			again := p.age() + patience
			p.busy = max(p.busy, again)
			p.world.At(again, what+" again", func() { p.ask(what, send) })
		case err != nil:
			p.story.tell(p.age(), "%s: refused: %v", what, err)
		default:
			p.story.tell(p.age(), "%s: %s", what, said)
		}
	})
}

// wish names a wish of the customer's: each is one of its own.
func (p *player) wish(by string) workflows.Asked {
	p.asked++
	return workflows.Asked{ID: fmt.Sprintf("wish-%d", p.asked), By: by, Reason: "the story wants it so"}
}

// reply is what came of a wish, in words.
func reply(r workflows.Reply) string {
	words := []string{r.Request}
	for _, w := range []struct{ name, text string }{{"refused", r.Refused}, {"pending", r.Pending}, {"declined", r.Declined}} {
		if w.text != "" {
			words = append(words, w.name+": "+w.text)
		}
	}
	return strings.Join(words, ", ")
}

func (p *player) wishes(what string, send func(ctx context.Context) (workflows.Reply, error)) {
	p.ask(what, func(ctx context.Context) (string, error) {
		r, err := send(ctx)
		return reply(r), err
	})
}

// submit hands an order over through the public starter, so often at once.
func (p *player) submit(do script.Submit) {
	name := do.Order
	if do.As != "" {
		name = do.As
	}
	told, _ := p.file.Order(name)
	if do.Change != nil {
		told = *do.Change
		told.Name = name
	}
	o := orderOf(told)
	if _, known := p.placed[do.Order]; !known {
		p.placed[do.Order] = p.world.Now()
	}
	o.PlacedAt = p.placed[do.Order]
	for range do.Copies {
		p.ask("submit "+name, func(ctx context.Context) (string, error) {
			answer, err := p.client.Submit(ctx, o)
			said := fmt.Sprintf("%s, %s", answer.Phase, answer.Outcome)
			if answer.Declined != "" {
				said += ", declined: " + answer.Declined
			}
			if answer.Next != nil {
				said += ", the customer must act"
			}
			return said, err
		})
	}
}

func (p *player) cancel(do script.Cancel) {
	p.ask("cancel "+do.Order, func(ctx context.Context) (string, error) {
		a, err := p.client.Cancel(ctx, order.ID(do.Order), workflows.Cancel{By: "customer", Reason: "changed their mind"})
		if a.Refused != "" {
			return "not cancelled: " + a.Refused, err
		}
		return fmt.Sprintf("%s, cancelled: %t %s", a.Outcome, a.Cancelled, a.Pending), err
	})
}

// lines finds so many pieces of SKUs among an order's lines, the first lines
// first.
func (p *player) lines(name string, pieces []order.Quantity) []order.Quantity {
	told, _ := p.file.Order(name)
	var out []order.Quantity
	for _, q := range pieces {
		left := q.Quantity
		for i, l := range told.Lines {
			if n := min(left, l.Quantity); l.SKU == q.SKU && n > 0 {
				out = append(out, order.Quantity{Line: i + 1, SKU: l.SKU, Quantity: n})
				left -= n
			}
		}
		if left > 0 { // more than there is: the product must say so
			out = append(out, order.Quantity{Line: lineOf(told, q.SKU), SKU: q.SKU, Quantity: left})
		}
	}
	return out
}

func lineOf(o script.Order, sku string) int {
	return slices.IndexFunc(o.Lines, func(l script.Line) bool { return l.SKU == sku }) + 1
}

// sendBack announces a return; the warehouse's people have it a day later.
func (p *player) sendBack(do script.Return) {
	m := workflows.Return{Asked: p.wish("customer"), Lines: p.lines(do.Order, do.Lines)}
	p.wishes("return of "+do.Order, func(ctx context.Context) (workflows.Reply, error) {
		return p.client.Return(ctx, order.ID(do.Order), m)
	})
}

// amend asks for fewer pieces, for another address, or for both.
func (p *player) amend(do script.Amend) error {
	told, _ := p.file.Order(do.Order)
	of := order.ID(do.Order)
	if do.Lines != nil {
		drop, err := p.dropped(told, do.Lines)
		if err != nil {
			return err
		}
		m := workflows.Amend{Asked: p.wish("customer"), Drop: p.lines(do.Order, drop)}
		p.wishes("amend "+do.Order, func(ctx context.Context) (workflows.Reply, error) { return p.client.Amend(ctx, of, m) })
	}
	if do.Address != "" {
		to := orderOf(told).ShipTo
		to.Street = do.Address
		m := workflows.Amend{Asked: p.wish("customer"), ShipTo: &to}
		p.wishes("amend "+do.Order, func(ctx context.Context) (workflows.Reply, error) { return p.client.Amend(ctx, of, m) })
	}
	if do.Email != "" { // it is the customer's profile, which the CRM owns
		return p.edit(order.SystemCRM, map[string]any{"customer": told.Customer, "email": do.Email})
	}
	return nil
}

// dropped is what the customer does not want any more, given what they want.
func (p *player) dropped(told script.Order, wanted map[string]int64) ([]order.Quantity, error) {
	have := p.kept[told.Name]
	if have == nil {
		have = map[string]int64{}
		for _, l := range told.Lines {
			have[l.SKU] += l.Quantity
		}
		p.kept[told.Name] = have
	}
	var drop []order.Quantity
	for _, q := range orderOf(told).Goods() {
		n, named := wanted[q.SKU]
		if !named || n == have[q.SKU] {
			continue
		}
		if n > have[q.SKU] {
			return nil, fmt.Errorf("amend %s: nothing can be added to an order; submit another one", told.Name)
		}
		drop = append(drop, order.Quantity{SKU: q.SKU, Quantity: have[q.SKU] - n})
		have[q.SKU] = n
	}
	return drop, nil
}

func (p *player) answer(do script.Answer) {
	m := workflows.Answer{Asked: p.wish("customer"), Choice: workflows.Choice(do.Choice)}
	p.wishes("answer of "+do.Order, func(ctx context.Context) (workflows.Reply, error) {
		return p.client.Answer(ctx, order.ID(do.Order), m)
	})
}

// intents are the ids of an order's attempts at the gateway, the oldest first.
func (p *player) intents(of string) ([]string, error) {
	state, err := p.desks.Payment.State(order.ID(of))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, raw := range state.(payment.State).PaymentIntents {
		var pi struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(raw, &pi); err != nil {
			return nil, err
		}
		ids = append(ids, pi.ID)
	}
	return ids, nil
}

// pay lets the customer finish a payment that waits for them.
func (p *player) pay(do script.Pay) error {
	all, err := p.intents(do.Order)
	if err != nil {
		return err
	}
	if do.Attempt > len(all) {
		return fmt.Errorf("pay %s: the gateway has %d attempts of it, and not %d", do.Order, len(all), do.Attempt)
	}
	return p.desks.Payment.Pay(all[do.Attempt-1], do.Result)
}

// attempt starts another payment at the checkout. It waits for the customer when
// a later step finishes it.
func (p *player) attempt(do script.Attempt) error {
	told, _ := p.file.Order(do.Order)
	o := orderOf(told)
	c := payment.Checkout{
		Amount: stripeAmount(o.Total, o.Currency), Currency: string(o.Currency), Method: o.Payment.Method, Capture: o.Payment.Capture,
		Channel: channel, Reusable: o.Payment.Reusable,
	}
	finished := slices.ContainsFunc(p.file.Steps, func(s script.Step) bool {
		pay, ok := s.Do.(script.Pay)
		return ok && pay.Order == do.Order && pay.Attempt == do.Attempt
	})
	if finished && told.Payment.Method == script.MethodCard {
		c.Method = "" // which is typed in then
	}
	id, err := p.desks.Payment.Start(order.ID(do.Order), c)
	if err != nil {
		return fmt.Errorf("start attempt %d to pay %s: %w", do.Attempt, do.Order, err)
	}
	all, err := p.intents(do.Order)
	if err == nil && slices.Index(all, id)+1 != do.Attempt {
		return fmt.Errorf("the attempt that %s's customer started is number %d, and not %d", do.Order, slices.Index(all, id)+1, do.Attempt)
	}
	return err
}

// stripeAmount is an amount as Stripe writes it, which has two decimals for some
// currencies that have none.
func stripeAmount(minor int64, c order.Currency) int64 {
	if c == "ISK" || c == "UGX" {
		return minor * 100
	}
	return minor
}

// noRecord says that something named a record that is not there.
func noRecord(err error) bool { return errors.Is(err, simulator.ErrNoRecord) }
