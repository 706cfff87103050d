package play

import (
	"encoding/json"
	"fmt"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// event lets a notification arrive, or a record show up in a change feed. One
// that could not be sent was not exercised.
func (p *player) event(line int, do script.Event) error {
	fields := map[string]any{"type": do.Type}
	if do.Order != "" {
		fields["order"] = do.Order
	}
	switch do.From {
	case order.SystemPayment:
		fields["attempt"], fields["copies"], fields["forged"] = do.Attempt, do.Copies, do.Forged
		fields["account"], fields["same_id"] = do.Account, do.SameID
	case order.SystemCRM:
		fields["copies"], fields["forged"], fields["account"], fields["same_id"] = do.Copies, do.Forged, do.Account, do.SameID
	case order.SystemWarehouse:
		fields["copies"] = do.Copies
		if do.SKU != "" {
			fields["sku"] = do.SKU
		}
	case order.SystemInventory:
		delete(fields, "type")
		if do.SKU != "" {
			fields["sku"] = do.SKU
		}
	case order.SystemERP, order.SystemMail:
		fields["copies"] = do.Copies
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	err = p.world.Desk(do.From).Event(data)
	p.judge.disturbed(p.age())
	if noRecord(err) {
		p.exercised(line, fmt.Sprintf("%s cannot tell %s: %v", do.From, do.Type, err), func() bool { return false })
		return nil
	}
	return err
}

// handle says what becomes of the notifications that a system sends by itself.
func (p *player) handle(do script.Events) {
	of := do.Type
	if of != "" && do.From == order.SystemPayment {
		of = payment.WordOf(of)
	}
	how := map[string]simulator.Handling{
		"drop": simulator.Drop, "hold": simulator.Hold, "release": simulator.Deliver, "reorder": simulator.Reorder,
	}[do.Do]
	p.world.Desk(do.From).Frame().HandleNotifications(of, how)
}

// inject lets the next calls of an operation suffer a fault.
func (p *player) inject(line int, do script.Fault) error {
	frame := p.world.Desk(do.System).Frame()
	id, err := frame.Inject(simulator.Fault{
		Operation: do.Operation, Kind: do.Kind, Times: do.Times, Skip: do.After, Delay: do.Delay, Order: order.ID(do.Order),
	})
	if err != nil {
		return err
	}
	p.exercised(line, fmt.Sprintf("no call of %s.%s suffered the fault %s", do.System, do.Operation, do.Kind), func() bool {
		return frame.Faults()[id-1].Fired > 0
	})
	return nil
}
