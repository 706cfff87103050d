package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/activities/erp"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// callTimeout is just above the adapters' own deadline, so that two attempts
// never overlap.
const callTimeout = 15 * time.Second

// mailTimeout is that of sending a mail, which may have to look into the
// journal twice first, its visibility lag apart.
const mailTimeout = 90 * time.Second

// patience is how long one activity goes on trying before the workflow takes
// note of the trouble and starts the next. There is no last try.
var patience = []time.Duration{2 * time.Minute, 10 * time.Minute, time.Hour}

// lane carries out one system's operations, one after the other, as long as the
// run lives. It works on a disconnected context: what was begun is finished or
// undone even when somebody cancels the workflow.
func (p *process) lane(ctx workflow.Context, system order.System) {
	for {
		var op *Operation
		_ = workflow.Await(ctx, func() bool {
			if p.closing {
				return true
			}
			if !p.news {
				op = p.due(system, workflow.Now(ctx))
			}
			return op != nil
		})
		if p.closing {
			return
		}
		p.perform(ctx, *op)
	}
}

// perform carries out one operation until it is done or refused. Its intent is
// recorded as open before the call.
func (p *process) perform(ctx workflow.Context, due Operation) {
	op := p.open(ctx, due)
	key := p.Key(*op)
	for try := 0; ; try++ {
		op.Tries++
		gaveUp, err := p.tryOnce(p.operationContext(ctx, *op, try), *op)
		op = p.find(due.Operation, due.N) // state may have moved while we waited
		code := apierr.CodeOf(err)
		stopped, doubt := repair.WasStopped(err)
		switch {
		case gaveUp:
			if p.abandoned(ctx, key) {
				p.finish(ctx, p.find(due.Operation, due.N), Unsent, "it is not wanted any more, and the warehouse has nothing of it")
				return
			}
			continue
		case err == nil:
			p.finish(ctx, op, Done, "")
			return
		case stopped:
			op.Doubt = op.Doubt || doubt
			p.stopped(ctx, op, plainly(err))
			return
		case code == apierr.Declined || code == apierr.Conflict || code == apierr.Invalid || code == apierr.NotFound:
			op.Code, op.Conflict = apierr.ReasonOf(err), code == apierr.Conflict
			p.finish(ctx, op, refusal(*op, err), plainly(err))
			p.refused(workflow.Now(ctx), op)
			return
		}
		op.Why, op.Doubt = plainly(err), op.Doubt || code == apierr.InDoubt || diedUnheard(err)
		p.doubted(workflow.Now(ctx), op)
		if code == apierr.Unauthorized && op.Operation == order.Send { // it may go through at last
			p.heldUp(workflow.Now(ctx), op.Why)
		}
		p.note(workflow.Now(ctx), key+" is not through yet: "+op.Why)
		p.touch()
	}
}

// diedUnheard says that the engine gave an activity up without an answer to its last
// attempt: that one may have had its effect. What the engine names as the cause is
// the failure of the attempt before it.
func diedUnheard(err error) bool {
	_, is := errors.AsType[*temporal.TimeoutError](err)
	return is
}

// tryOnce makes the call of one operation. A request that nothing is there of yet
// is called for as long as it is wanted.
func (p *process) tryOnce(ctx workflow.Context, op Operation) (gaveUp bool, err error) {
	if op.Operation == order.Request && len(p.shipmentsOf(p.Key(op))) == 0 {
		return p.callWhileWanted(ctx, op)
	}
	return false, p.call(ctx, op)
}

// refusal is what becomes of an operation to which its system said no.
func refusal(op Operation, err error) OperationStatus {
	if op.Operation == order.Send && apierr.ReasonOf(err) == mail.NoJournalReason {
		return Unknown
	}
	return Refused
}

// stopped leaves an operation as it was before its repair, which was stopped at the
// last hop: its break is found again, and nothing is made anew for it. Where an
// earlier attempt may have got through, only a reading that comes after it tells. What
// was not done before, as money that an order gives back by a rule, came to nothing.
func (p *process) stopped(ctx workflow.Context, op *Operation, why string) {
	was, doubt := Was{Status: Unsent, Code: repair.StoppedReason, Lines: op.Lines, Ended: op.Ended}, op.Doubt
	switch {
	case op.Was != nil:
		was = *op.Was
	case op.Record != "": // it was carried here before it was remembered
		was.Status = Done
	}
	p.finish(ctx, op, was.Status, why)
	op.Code, op.Lines, op.Doubt = was.Code, was.Lines, doubt
	if !doubt {
		op.Ended = was.Ended
	}
	p.disown(op.System)
}

// open records the intent before its call.
func (p *process) open(ctx workflow.Context, due Operation) *Operation {
	now := workflow.Now(ctx)
	op := p.find(due.Operation, due.N)
	if op == nil {
		due.First = now
		if p.Adopted && due.System == order.SystemPayment {
			due.First = p.Order.PlacedAt // the key may have been used when the order was placed
		}
		p.Operations = append(p.Operations, due)
		op = &p.Operations[len(p.Operations)-1]
	}
	if op.Status == Meant {
		op.First = now
	}
	op.Status, op.Conflict = Open, false
	p.touch()
	return op
}

// finish records the outcome.
func (p *process) finish(ctx workflow.Context, op *Operation, status OperationStatus, why string) {
	now := workflow.Now(ctx)
	if op.Grant != nil {
		op.Grant = nil
		switch _, stopped := repair.Refused(why); {
		case status == Done && why == "":
			p.redo(now, op)
		case status == Refused && !stopped:
			p.redoes(now, op) // it counts as tried
		}
	}
	op.For, op.Was = nil, nil
	p.answered(now, op, status)
	if q := p.askedIn(*op); q != nil && status == Done {
		p.needNotAsk(now, *q, "the customer was asked at last")
	}
	op.Status, op.Ended, op.Why, op.Doubt = status, now, why, false
	p.news = true
	if status == Done { // a write that was read back is an agreement too
		if op.Code != stillThere {
			op.Code = ""
		}
		p.Bases = reconcile.Remember(p.Bases, p.compare(p.settings.Policy, now).Agreed)
	}
	line := p.Key(*op) + " " + string(status)
	if why != "" {
		line += ": " + why
	}
	p.note(now, line)
	p.touch()
}

// operationContext gives one operation its queue, patience, id and summary, as
// an operator reads them in the history.
func (p *process) operationContext(ctx workflow.Context, op Operation, try int) workflow.Context {
	interval, longest := time.Second, 30*time.Second
	if try > 0 {
		interval = 15 * time.Second
	}
	if try > 1 {
		longest = 2 * time.Minute
	}
	timeout, patient := callTimeout, patience[min(try, len(patience)-1)]
	if op.System == order.SystemMail {
		timeout, patient = mailTimeout, patience[len(patience)-1]
	}
	var priority temporal.Priority
	if op.Grant != nil {
		priority = forRuns
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              SystemQueue(op.System),
		ActivityID:             fmt.Sprintf("%s.%s/%d", op.System, op.Operation, op.N) + again(op, try),
		StartToCloseTimeout:    timeout,
		ScheduleToCloseTimeout: patient,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: interval, BackoffCoefficient: 2, MaximumInterval: longest,
		},
		Summary: p.summary(op), Priority: priority,
	})
}

// again tells the activities of one intent apart in the history; the key stays
// the same.
func again(op Operation, try int) string {
	suffix := ""
	if op.Repairs > 0 || op.Grant != nil {
		suffix = fmt.Sprintf(" repair %d", op.Repairs+1)
	}
	if try > 0 {
		suffix += fmt.Sprintf(" try %d", try+1)
	}
	return suffix
}

// summary is the line beside the activity in the history: what, how much, key.
func (p *process) summary(op Operation) string {
	what := ""
	if op.About != "" {
		what = op.About + " "
	}
	if op.Amount != 0 && op.System != order.SystemMail {
		what += order.Amount{Minor: op.Amount, Currency: p.Order.Currency}.String() + " "
	}
	switch op.Operation {
	case order.Reserve, order.Request, order.Return:
		what += pieces(p.linesOf(op)) + " "
	case order.Release:
		if op.Lines != nil {
			what += "but " + pieces(op.Lines) + " "
		}
	}
	return what + p.Key(op)
}

// plainly is the innermost message of an error, for people.
func plainly(err error) string {
	message := apierr.Message(err)
	if len(message) > 300 {
		message = message[:300] + "…"
	}
	return message
}

// The activities, by their methods: the nil pointers are never followed.
var (
	gateway *payment.Activities
	stock   *inventory.Activities
	depot   *warehouse.Activities
	books   *erp.Activities
	people  *crm.Activities
	post    *mail.Activities
	run     *reconciliation.Activities
)

// call makes the call of one operation and takes in what the system answered.
func (p *process) call(ctx workflow.Context, op Operation) error {
	switch op.Operation {
	case order.Authorize:
		return p.authorize(ctx, op)
	case order.Capture:
		return p.attempt(ctx, gateway.CapturePayment, repair.Write[payment.CaptureRequest]{Grant: op.Grant, Since: op.First, Request: payment.CaptureRequest{
			Key: p.Key(op), Order: p.Order.ID, Attempt: op.Ref, Amount: p.amount(op.Amount), Final: op.Final, Before: p.capturedBefore(op),
		}})
	case order.Void:
		return p.attempt(ctx, gateway.VoidPayment, repair.Write[payment.VoidRequest]{Grant: op.Grant, Since: op.First, Request: payment.VoidRequest{
			Key: p.Key(op), Order: p.Order.ID, Attempt: op.Ref,
		}})
	case order.Refund:
		return p.refund(ctx, op)
	case order.Reserve:
		return p.reserve(ctx, op)
	case order.Release:
		return p.release(ctx, op, op.Lines)
	case order.Commit:
		return p.commit(ctx, op)
	case order.Request:
		return p.ship(ctx, depot.RequestShipment, repair.Write[warehouse.RequestRequest]{Grant: op.Grant, Since: op.First, Request: warehouse.RequestRequest{
			Key: p.Key(op), Order: p.Order.ID, Lines: p.linesOf(op), Customer: p.Order.Customer, ShipTo: p.shipTo(),
		}})
	case order.Return:
		return p.announce(ctx, op)
	case order.Cancel:
		return p.withdraw(ctx, op)
	case order.UpdateAddress:
		return p.ship(ctx, depot.UpdateShipmentAddress, repair.Write[warehouse.UpdateAddressRequest]{Grant: op.Grant, Since: op.First, Request: warehouse.UpdateAddressRequest{
			Key: op.Ref, Order: p.Order.ID, ShipTo: p.newAddress(),
		}})
	case order.Record, order.Invoice, order.Receipt, order.Credit:
		return p.book(ctx, op)
	case order.Upsert:
		return p.update(ctx, op)
	case order.Send:
		return p.send(ctx, op)
	case order.Adjust:
		return p.restock(ctx, op)
	}
	panic("unreachable: operation " + string(op.Operation) + " is not an order's")
}

func (p *process) amount(minor int64) order.Amount {
	return order.Amount{Minor: minor, Currency: p.Order.Currency}
}
