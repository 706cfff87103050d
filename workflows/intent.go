package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// intent says what the order means the six systems to say now.
func (p *process) intent(now time.Time) reconcile.Intent {
	i := reconcile.Intent{
		Order: p.Order.ID, PlacedAt: p.Order.PlacedAt, Currency: p.Order.Currency, Total: p.Order.Total,
		Phase: p.Phase, Cart: p.Order.CartID != "",
		Customer: p.Order.Customer.ID, CartID: p.Order.CartID, Payments: p.subject(order.SystemPayment).Known,
		Accepted: p.Accepted,
	}
	p.intentMoney(&i)
	p.intentGoods(&i)
	p.intentBooks(&i)
	if op := p.find(order.Upsert, p.count(order.Upsert)); op != nil {
		i.Deal, i.Revenue = reconcile.DealStage(op.About), op.Amount
	}
	i.Underway = p.openQuestion() != nil || p.Amendment.open() || p.refunding() ||
		p.Phase == order.PhaseAccepted && !order.Empty(p.remaining())
	for _, m := range p.mails() {
		if op := p.mailed(m.Template, m.Occasion); op != nil {
			m.GivenUp = op.Status == Unknown || op.Status == Refused
			i.Mails = append(i.Mails, m)
		} else if !now.After(p.lastMoment(m)) {
			i.Mails = append(i.Mails, m)
		}
	}
	for _, system := range order.Systems() {
		if p.openIn(system) != nil || p.due(system, now) != nil && !p.Phase.Ended() {
			i.Busy = append(i.Busy, system)
		}
		if op := p.openIn(system); op != nil && op.Doubt {
			i.InDoubt = append(i.InDoubt, system)
		}
		if at := p.changed(system); !at.IsZero() {
			i.Changed = append(i.Changed, reconcile.Changed{System: system, At: at})
		}
	}
	// The customer may have paid meanwhile, and the gateway does not say.
	if p.Phase == order.PhasePaying && p.tried(order.Authorize) && p.observed(order.SystemPayment).State == reconcile.Unreadable {
		i.InDoubt = append(i.InDoubt, order.SystemPayment)
	}
	return i
}

// intentMoney: past the pivot what the order's attempts hold stays held until it
// is captured, and what has left was captured; before it, and after the end,
// nothing is held.
func (s *State) intentMoney(i *reconcile.Intent) {
	i.Paying = !s.Phase.PastPivot() && !s.Phase.Ended() || s.asking(AskAboutPayment) != nil
	taken := map[string]int64{} // by attempt
	closed := map[string]bool{}
	for k := range s.Operations {
		op := s.Operations[k]
		if op.Status != Done {
			continue
		}
		switch op.Operation {
		case order.Capture:
			i.Captured += op.Amount
			taken[op.Ref] += op.Amount
			closed[op.Ref] = closed[op.Ref] || op.Final
		case order.Void:
			closed[op.Ref] = true
		case order.Refund:
			i.Refunded += op.Amount
		}
	}
	if s.atOnce() && (s.Phase.PastPivot() || i.Refunded > 0) {
		i.Captured = s.taken()
	}
	if !s.Phase.PastPivot() {
		return
	}
	i.Attempts = s.Payers
	for _, id := range s.Payers {
		// One that is closed at the gateway is no difference to be found: see
		// attendPayment.
		if a := s.attemptBy(id); !s.atOnce() && !closed[id] && (a == nil || a.State != reconcile.AttemptVoided) {
			i.Held += max(0, s.authorized(id)-taken[id])
		}
	}
}

// taken is what an order that is captured at once was to pay.
func (s *State) taken() int64 {
	total := int64(0)
	for _, id := range s.Payers {
		total += s.authorized(id)
	}
	if total == 0 {
		return s.Order.Total
	}
	return total
}

// authorized is what an attempt was made for.
func (s *State) authorized(id string) int64 {
	for k := range s.Operations {
		if op := s.Operations[k]; op.Operation == order.Authorize && op.Record == id {
			return op.Amount
		}
	}
	if a := s.attemptBy(id); a != nil {
		return a.Amount
	}
	return 0
}

// intentGoods: promised until they are committed or given back; with the
// warehouse from the request until it was taken back or they have left; and back
// again when they came back.
func (s *State) intentGoods(i *reconcile.Intent) {
	i.Reserved = order.BySKU(s.Promised)
	if s.short() {
		for _, q := range order.BySKU(order.Less(s.Order, s.unshipped(), s.Promised)) {
			i.Awaited = append(i.Awaited, q.SKU)
		}
	}
	if s.Phase == order.PhaseCancelled || s.Phase == order.PhaseFailed {
		i.Reserved = nil
		return
	}
	for n := 1; n <= s.count(order.Request); n++ {
		op := s.find(order.Request, n)
		if op.Status == Done {
			s.intentRequest(i, s.Key(*op), s.linesOf(*op))
		}
	}
	for n, r := range s.Returns {
		name := r.Name
		if r.Record == "" {
			op := s.find(order.Return, n+1)
			if op == nil || op.Status != Done {
				continue
			}
			name = s.Key(*op)
		}
		if r.Cancelled {
			continue
		}
		state := reconcile.ReturnExpected
		if !r.Received.IsZero() {
			state = reconcile.ReturnReceived
		}
		i.Returns = append(i.Returns, reconcile.ReturnIntent{
			Key: name, Lines: r.Lines, State: state,
		})
	}
}

// intentRequest: what has left of a request is out, in as many parcels as the
// warehouse made of it, also when it knows of none any more; the rest is at least
// requested, unless it was taken back.
func (s *State) intentRequest(i *reconcile.Intent, key string, lines []order.Quantity) {
	live := false
	seen := s.shipmentsOf(key)
	for _, sh := range seen {
		live = live || sh.State.Live()
	}
	if !live && (s.withdrawn(key) || len(seen) > 0 && s.Phase == order.PhaseCancelling) {
		return
	}
	intended := reconcile.ShipmentIntent{Key: key, Lines: lines, State: reconcile.ShipmentRequested}
	left, departed := s.leftUnder(key)
	switch {
	case !live && departed && left == nil:
		return
	case !live && departed:
		intended.Lines, intended.State = left, reconcile.ShipmentShipped
	case live:
		intended.Lines = nil
		out := true
		for _, sh := range seen {
			if sh.State.Live() {
				intended.Lines = append(intended.Lines, sh.Lines...)
				out = out && gone(sh.State)
				intended.State = sh.State
			}
		}
		if !order.Within(s.Order, intended.Lines, lines) {
			intended.Lines = lines // the same goods in two live shipments are not meant
		}
		if !out {
			intended.State = reconcile.ShipmentRequested
		} else if len(seen) > 1 {
			intended.State = reconcile.ShipmentShipped
		}
	}
	for n, d := range s.Departures {
		mail := s.mailed(reconcile.MailShipped, n+1)
		if d.Key == key && d.Told != "" && mail != nil && mail.Status == Done {
			intended.Told = append(intended.Told, reconcile.Told{Shipment: d.Shipment, Tracking: d.Told})
		}
	}
	i.Shipments = append(i.Shipments, intended)
}

// intentBooks: one document for each operation that the books have confirmed.
func (s *State) intentBooks(i *reconcile.Intent) {
	for k := range s.Operations {
		op := s.Operations[k]
		if op.Status != Done {
			continue
		}
		document := reconcile.DocumentIntent{Key: s.Key(op), Total: op.Amount}
		switch op.Operation {
		case order.Record:
			if op.N == 1 {
				i.Sale = &document
			}
		case order.Invoice:
			i.Invoices = append(i.Invoices, document)
		case order.Receipt:
			i.Receipts = append(i.Receipts, document)
		case order.Credit:
			i.Credits = append(i.Credits, document)
		}
	}
}

// changed returns when our intent about a system last changed: the end of its
// last operation. Setting a level for what came back is none about the order's
// own records, and reads none of them back.
func (s *State) changed(system order.System) time.Time {
	var at time.Time
	for i := range s.Operations {
		if op := s.Operations[i]; op.System == system && op.Operation != order.Adjust && op.Ended.After(at) {
			at = op.Ended
		}
	}
	return at
}
