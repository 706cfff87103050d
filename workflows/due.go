package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// What is due in each system: the business process, said once, as a function of
// what is known. It is level-triggered: the same rules carry an order on after
// the usual step, after a lost answer, after a worker's death, after a person's
// edit and after a repair. Each function returns the next operation of its
// system, or nil, and is asked again when anything changed.
//
// The goods are in due_goods.go, the money in due_money.go, and what follows from
// both in the ERP, the CRM and the mail in due_follow.go.

// due returns the next operation in a system. What reconciliation found lost
// comes first, under its own key.
func (p *process) due(system order.System, now time.Time) *Operation {
	for i := range p.Operations {
		if op := p.Operations[i]; op.System == system && op.Status == Lost {
			return &op
		}
	}
	switch system {
	case order.SystemInventory:
		return p.dueInventory()
	case order.SystemPayment:
		return p.duePayment(now)
	case order.SystemWarehouse:
		return p.dueWarehouse(now)
	case order.SystemERP:
		return p.dueERP()
	case order.SystemCRM:
		return p.dueCRM()
	case order.SystemMail:
		return p.dueMail(now)
	}
	return nil
}

// next returns the n-th operation as due, unless it was tried already.
func (s *State) next(system order.System, operation order.Operation, n int) *Operation {
	if s.find(operation, n) != nil {
		return nil
	}
	return &Operation{System: system, Operation: operation, N: n}
}

// another returns one more operation of a kind.
func (s *State) another(system order.System, operation order.Operation) *Operation {
	return &Operation{System: system, Operation: operation, N: s.count(operation) + 1}
}

// last returns the latest operation of a kind, or nil.
func (s *State) last(operation order.Operation) *Operation {
	return s.find(operation, s.count(operation))
}

// refersTo says whether an operation of a kind belongs to number n of something.
func (s *State) refersTo(operation order.Operation, n int) bool {
	return slices.ContainsFunc(s.Operations, func(op Operation) bool { return op.Operation == operation && op.Of == n })
}
