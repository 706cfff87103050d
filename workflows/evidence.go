package workflows

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What a person decides a case on. It is made anew whenever it is asked for: what
// can be derived is not carried from run to run.

// decisions are what a person may decide, in the order in which they are offered.
func decisions() []Decision {
	return []Decision{DecideRepair, DecideAccept, DecideRefund, DecideShip, DecideRelease, DecideCancel, DecideByHand}
}

// grounds are what the evidence of the cases is made from.
func (p *process) grounds(c reconcile.Comparison, now time.Time) reconcile.Grounds {
	return reconcile.Grounds{Intent: p.intent(now), Policy: p.settings.Policy, Observations: p.Observed, Comparison: c, Bases: p.Bases}
}

// prove gives the open ones of some cases, which are copies, their evidence.
func (p *process) prove(cases []reconcile.Case, c reconcile.Comparison, now time.Time) {
	if len(cases) == 0 {
		return
	}
	g := p.grounds(c, now)
	for i := range cases {
		if cases[i].Open() {
			e := g.Evidence(cases[i], p.options(cases[i]), now)
			cases[i].Evidence = &e
		}
	}
}

// evidence is what a decision about a case would rest on now.
func (p *process) evidence(now time.Time, k reconcile.Case) reconcile.Evidence {
	return p.grounds(p.compare(p.settings.Policy, now), now).Evidence(k, p.options(k), now)
}

// token names the evidence of a case.
func (p *process) token(now time.Time, k reconcile.Case) string { return p.evidence(now, k).Token }

// cases answers with the order's cases. It changes nothing, for queries call it.
func (p *process) cases(ask AskCases) []reconcile.Case {
	all := p.openCases()
	if ask.All {
		all = slices.Clone(p.Cases)
	}
	p.prove(all, p.compare(p.settings.Policy, ask.Now), ask.Now)
	return all
}

// options returns the decisions that are possible about a case now: those that
// feasible would not refuse.
func (p *process) options(k reconcile.Case) []reconcile.Option {
	var all []reconcile.Option
	proposed := p.proposed(k)
	for _, as := range decisions() {
		if p.feasible("", k, Decide{Case: k.N, As: as}) == nil {
			o := p.option(k, as)
			o.As, o.Proposed = string(as), as == proposed
			all = append(all, o)
		}
	}
	return all
}

// proposed is the decision that carries out what a case proposes.
func (p *process) proposed(k reconcile.Case) Decision {
	if p.repairable(k.Step) {
		return DecideRepair
	}
	for _, as := range decisions() {
		if len(k.Step.Proposal) > len(as) && k.Step.Proposal[:len(as)] == string(as) && k.Step.Proposal[len(as)] == ':' {
			return as
		}
	}
	return DecideByHand
}

// option says what one decision about a case would do.
func (p *process) option(k reconcile.Case, as Decision) reconcile.Option {
	b := k.Step.Break
	switch as {
	case DecideRepair:
		return p.repairOption(k.Step)
	case DecideAccept:
		return reconcile.Option{Does: "let it stand as it is, for as long as " + string(b.System) + " says just this"}
	case DecideRefund:
		return p.refundOption(k)
	case DecideShip:
		goods := p.goodsOf(k)
		return reconcile.Option{Does: "send " + pieces(goods), Pieces: order.BySKU(goods)}
	case DecideRelease:
		worth := p.value() - order.ValueOf(p.Order, p.shipped())
		return reconcile.Option{
			Does:  "give up " + pieces(p.unshipped()) + ", and give back or let go of " + p.amount(worth).String(),
			Money: worth, Pieces: order.BySKU(p.unshipped()),
		}
	case DecideCancel:
		return reconcile.Option{
			Does:  "take the order back: " + pieces(p.unshipped()) + " do not ship, and " + p.amount(p.value()).String() + " goes back or is let go",
			Money: p.value(), Pieces: order.BySKU(p.unshipped()),
		}
	case DecideByHand:
		return reconcile.Option{Does: "say that it was put right in " + string(b.System) + ": it is read again, and closes when it was"}
	}
	return reconcile.Option{}
}

// repairOption says what carrying out a proposal does: its operation, money and
// goods.
func (p *process) repairOption(s reconcile.Step) reconcile.Option {
	o := reconcile.Option{Money: s.Amount}
	amount := p.amount(s.Amount).String()
	switch s.Operation {
	case order.Refund:
		o.Does = "give back " + amount
	case order.Authorize:
		o.Does = "charge the stored method " + amount
	case order.Capture:
		o.Does = "capture " + amount + ", which is still held"
	case order.Request, order.Reserve:
		goods := p.unshipped()
		if intent, ours := order.ParseKey(s.Key); ours && s.Operation == order.Request {
			if op := p.find(intent.Operation, intent.N); op != nil {
				goods = order.Common(p.Order, p.linesOf(*op), p.unshipped())
			}
		}
		o.Does, o.Pieces = "request "+pieces(goods)+" again", order.BySKU(goods)
		if s.Operation == order.Reserve {
			o.Does = "promise " + pieces(goods) + " again"
		}
	default:
		o.Does = fmt.Sprintf("do %s in %s again", s.Operation, s.System)
		if s.Key != "" {
			o.Does += " under " + s.Key
		}
		if s.Amount != 0 {
			o.Does += ", " + amount
		}
	}
	return o
}

// refundOption says what a refund without an amount gives back.
func (p *process) refundOption(k reconcile.Case) reconcile.Option {
	if parcel := p.lostParcel(k); parcel != nil {
		worth := order.ShareOf(p.Order, order.Less(p.Order, p.kept(), parcel.Lines), parcel.Lines).Total
		return reconcile.Option{Does: "give back " + p.amount(worth).String() + ", the share of " + pieces(parcel.Lines), Money: worth, Pieces: order.BySKU(parcel.Lines)}
	}
	left := p.refundableBy(k)
	if k.Step.Operation == order.Refund {
		return reconcile.Option{Does: "give back " + p.amount(k.Step.Amount).String() + ", or up to " + p.amount(left).String() + " by amount", Money: k.Step.Amount}
	}
	return reconcile.Option{Does: "give back all that is left, " + p.amount(left).String() + ", or less by amount", Money: left}
}

// goodsOf are the goods that a case is about.
func (p *process) goodsOf(k reconcile.Case) []order.Quantity {
	if parcel := p.lostParcel(k); parcel != nil {
		return parcel.Lines
	}
	return p.unshipped()
}

// concerned returns the systems that a decision about a case rests on, in their
// usual order: the one that disagrees, the one in which the proposal is carried
// out, and where money or goods move, those that hold them. That the customer was not
// asked is our own word, also where no journal can be read.
func concerned(k reconcile.Case, as Decision) []order.System {
	s := k.Step
	wanted := []order.System{s.Break.System, s.System}
	if s.Break.Field == askedByMail {
		wanted = nil
	}
	switch as {
	case DecideRepair:
		if s.Operation == order.Request { // goods leave only when they are paid for
			wanted = append(wanted, order.SystemPayment)
		}
	case DecideRefund:
		wanted = append(wanted, order.SystemPayment)
	case DecideShip, DecideRelease, DecideCancel:
		wanted = append(wanted, order.SystemPayment, order.SystemWarehouse)
	case DecideAccept, DecideByHand:
	}
	return slices.DeleteFunc(order.Systems(), func(system order.System) bool { return !slices.Contains(wanted, system) })
}
