package workflows

import (
	"errors"
	"fmt"
	"slices"
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
		err := p.call(p.operationContext(ctx, *op, try), *op)
		op = p.find(due.Operation, due.N) // state may have moved while we waited
		code := apierr.CodeOf(err)
		switch {
		case err == nil:
			p.finish(ctx, op, Done, "")
			return
		case code == apierr.Declined || code == apierr.Conflict || code == apierr.Invalid || code == apierr.NotFound:
			op.Code = apierr.ReasonOf(err)
			p.finish(ctx, op, refusal(*op, err), plainly(err))
			if apierr.ReasonOf(err) != repair.StoppedReason {
				p.refused(workflow.Now(ctx), op)
			}
			return
		}
		op.Why, op.Doubt = plainly(err), op.Doubt || code == apierr.InDoubt
		p.note(workflow.Now(ctx), key+" is not through yet: "+op.Why)
		p.touch()
	}
}

// refusal tells a repair that was stopped at the last hop from a system that
// said no: the first is as it was before, so that its break is found again.
func refusal(op Operation, err error) OperationStatus {
	switch {
	case apierr.ReasonOf(err) == repair.StoppedReason && op.Record != "":
		return Done
	case apierr.ReasonOf(err) == repair.StoppedReason:
		return Unsent
	case op.Operation == order.Send && apierr.ReasonOf(err) == mail.NoJournalReason:
		return Unknown
	}
	return Refused
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
	op.Status = Open
	p.touch()
	return op
}

// finish records the outcome.
func (p *process) finish(ctx workflow.Context, op *Operation, status OperationStatus, why string) {
	now := workflow.Now(ctx)
	if op.Grant != nil {
		op.Grant = nil
		if status == Done && why == "" {
			op.Repairs++
			op.Mended = now
		}
	}
	op.Status, op.Ended, op.Why, op.Doubt = status, now, why, false
	p.news = true
	if status == Done { // a write that was read back is an agreement too
		op.Code = ""
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
	interval := time.Second
	if try > 0 {
		interval = 15 * time.Second
	}
	timeout, patient := callTimeout, patience[min(try, len(patience)-1)]
	if op.System == order.SystemMail {
		timeout, patient = mailTimeout, patience[len(patience)-1]
	}
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              SystemQueue(op.System),
		ActivityID:             fmt.Sprintf("%s.%s/%d", op.System, op.Operation, op.N) + again(op, try),
		StartToCloseTimeout:    timeout,
		ScheduleToCloseTimeout: patient,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: interval, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second,
		},
		Summary: p.summary(op),
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
	message := err.Error()
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		message = a.Message()
	}
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

func (p *process) authorize(ctx workflow.Context, op Operation) error {
	pay := p.Order.Payment
	if op.Pay != nil {
		pay = *op.Pay
	}
	if op.OffSession { // the earlier attempt names the stored method
		pay.Method, pay.Intent = "", op.Ref
	}
	var result payment.Authorization
	err := workflow.ExecuteActivity(ctx, gateway.AuthorizePayment, repair.Write[payment.AuthorizeRequest]{Grant: op.Grant, Since: op.First, Request: payment.AuthorizeRequest{
		Key: p.Key(op), Order: p.Order.ID, Amount: p.amount(op.Amount), Customer: p.Order.Customer.ID,
		Channel: p.Order.Channel, Payment: pay, OffSession: op.OffSession,
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.Next, p.NextOf = result.Next, op.N
	p.begun(workflow.Now(ctx), op, result.Attempt)
	return nil
}

// begun takes in the attempt that an authorization made.
func (p *process) begun(now time.Time, op Operation, a reconcile.Attempt) {
	p.find(op.Operation, op.N).Record = a.ID
	p.learnAttempt(now, a)
	if p.Phase.PastPivot() && a.Held+a.Captured > 0 && p.needsMoney(now) {
		p.takeOver(a.ID)
	}
}

// takeOver lets an attempt decide the order that was made anew. What it replaces
// is closed then, unless it took money.
func (p *process) takeOver(id string) {
	payers := []string{}
	for _, a := range p.attempts() {
		if p.payer(a) && a.Captured > 0 {
			payers = append(payers, a.ID)
		}
	}
	p.Payers = append(payers, id)
}

// capturedBefore is what the attempt's captures before this one took.
func (s *State) capturedBefore(op Operation) int64 {
	return s.sum(order.Capture, func(other Operation) bool { return other.Ref == op.Ref && other.N < op.N && other.Status == Done })
}

// attempt calls an activity that answers with the attempt as it stands.
func (p *process) attempt(ctx workflow.Context, activity, input any) error {
	var result reconcile.Attempt
	if err := workflow.ExecuteActivity(ctx, activity, input).Get(ctx, &result); err != nil {
		return err
	}
	p.learnAttempt(workflow.Now(ctx), result)
	return nil
}

func (p *process) refund(ctx workflow.Context, op Operation) error {
	var result reconcile.Refund
	err := workflow.ExecuteActivity(ctx, gateway.RefundPayment, repair.Write[payment.RefundRequest]{Grant: op.Grant, Since: op.First, Request: payment.RefundRequest{
		Key: p.Key(op), Order: p.Order.ID, Attempt: op.Ref, Amount: p.amount(op.Amount), Reason: op.About,
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.find(op.Operation, op.N).Record = result.ID
	p.learnRefund(workflow.Now(ctx), op.Ref, result)
	return nil
}

// reserve promises what the operation is about; done again, what was promised.
func (p *process) reserve(ctx workflow.Context, op Operation) error {
	lines := p.linesOf(op)
	if !op.Ended.IsZero() && op.Code == "" {
		lines = p.Promised
	}
	var result []reconcile.Reservation
	err := workflow.ExecuteActivity(ctx, stock.ReserveStock, repair.Write[inventory.ReserveRequest]{Grant: op.Grant, Since: op.First, Request: inventory.ReserveRequest{
		Key: p.Key(op), Order: p.Order.ID, Lines: lines,
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.Promised = lines
	p.learnReservations(workflow.Now(ctx), result)
	return nil
}

// release leaves only what is to be kept.
func (p *process) release(ctx workflow.Context, op Operation, keep []order.Quantity) error {
	var result []reconcile.Reservation
	err := workflow.ExecuteActivity(ctx, stock.ReleaseStock, repair.Write[inventory.ReleaseRequest]{Grant: op.Grant, Since: op.First, Request: inventory.ReleaseRequest{
		Key: p.Key(op), Order: p.Order.ID, Operation: op.Operation, Keep: keep,
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.Promised = keep
	p.learnReservations(workflow.Now(ctx), result)
	return nil
}

// commit lets stock/<sku> set the levels first, then gives up the reservations
// of what has left, so that what may be sold is never too high.
func (p *process) commit(ctx workflow.Context, op Operation) error {
	lines := p.Departures[op.Of-1].Lines
	if err := p.setLevels(ctx, op, lines); err != nil {
		return err
	}
	keep := p.Promised
	if op.Ended.IsZero() { // done again, its pieces are not promised any more
		keep = order.Less(p.Order, p.Promised, lines)
	}
	return p.release(ctx, op, keep)
}

// restock has the levels set once what came back lies in storage again.
func (p *process) restock(ctx workflow.Context, op Operation) error {
	lines := slices.Clone(p.Returns[op.Of-1].Lines)
	for i := range lines {
		lines[i].Quantity = 0 // it is in the count; nothing of it is promised
	}
	return p.setLevels(ctx, op, lines)
}

func (p *process) setLevels(ctx workflow.Context, op Operation, lines []order.Quantity) error {
	options := workflow.GetActivityOptions(ctx)
	options.TaskQueue = ReconciliationQueue
	options.ActivityID += " levels"
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), run.CommitStock, reconciliation.StockCommit{
		Order: p.Order.ID, Key: p.Key(op), Goods: order.BySKU(lines),
	}).Get(ctx, nil)
}

// announce tells the warehouse of goods that come back.
func (p *process) announce(ctx workflow.Context, op Operation) error {
	var result reconcile.Shipment
	err := workflow.ExecuteActivity(ctx, depot.RequestShipment, repair.Write[warehouse.RequestRequest]{Grant: op.Grant, Since: op.First, Request: warehouse.RequestRequest{
		Key: p.Key(op), Order: p.Order.ID, Lines: op.Lines, Customer: p.Order.Customer, ShipTo: p.shipTo(), Return: true,
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	state := reconcile.ReturnExpected
	if gone(result.State) {
		state = reconcile.ReturnReceived
	}
	p.find(op.Operation, op.N).Record = result.ID
	p.learnReturn(workflow.Now(ctx), reconcile.Return{ID: result.ID, Key: result.Key, State: state, Lines: result.Lines, Version: result.Version})
	return nil
}

// withdraw takes a request back. The answer tells of one shipment: where the
// warehouse has split the request, it is read what became of the others.
func (p *process) withdraw(ctx workflow.Context, op Operation) error {
	err := p.ship(ctx, depot.CancelShipment, repair.Write[warehouse.CancelRequest]{Grant: op.Grant, Since: op.First, Request: warehouse.CancelRequest{
		Key: op.Ref, Order: p.Order.ID,
	}})
	if err == nil && len(p.shipmentsOf(op.Ref)) > 1 {
		p.read(ctx, order.SystemWarehouse)
	}
	if slices.ContainsFunc(p.shipmentsOf(op.Ref), func(sh reconcile.Shipment) bool { return sh.State.Live() }) {
		p.find(op.Operation, op.N).Code = stillThere // whoever cancels it later is somebody else
	}
	return err
}

// ship calls an activity that answers with the shipment as it stands.
func (p *process) ship(ctx workflow.Context, activity, input any) error {
	var result reconcile.Shipment
	if err := workflow.ExecuteActivity(ctx, activity, input).Get(ctx, &result); err != nil {
		return err
	}
	if result.ID != "" {
		p.learnShipment(workflow.Now(ctx), result)
	}
	if len(p.shipmentsOf(result.Key)) > 1 { // it was split, and the answer is about one of them
		p.hint(order.SystemWarehouse, workflow.Now(ctx).Add(time.Second))
	}
	return nil
}

// book posts one document of the order.
func (p *process) book(ctx workflow.Context, op Operation) error {
	var result reconcile.Document
	var future workflow.Future
	switch op.Operation {
	case order.Record:
		future = workflow.ExecuteActivity(ctx, books.RecordSale, repair.Write[erp.SaleRequest]{Grant: op.Grant, Since: op.First, Request: erp.SaleRequest{Key: p.saleKey(), Order: p.ordered()}})
	case order.Receipt:
		future = workflow.ExecuteActivity(ctx, books.PostReceipt, repair.Write[erp.ReceiptRequest]{Grant: op.Grant, Since: op.First, Request: erp.ReceiptRequest{
			Key: p.Key(op), Order: p.Order.ID, Customer: p.Order.Customer, Amount: p.amount(op.Amount), Payment: op.Ref, Date: op.First,
		}})
	default:
		activity, share := books.PostInvoice, p.share(op.Of)
		if op.Operation == order.Credit {
			activity, share = books.PostCredit, p.creditShare(op)
		}
		future = workflow.ExecuteActivity(ctx, activity, repair.Write[erp.InvoiceRequest]{Grant: op.Grant, Since: op.First, Request: erp.InvoiceRequest{
			Key: p.Key(op), Order: p.Order.ID, Customer: p.Order.Customer, BillTo: p.ordered().Billing(),
			Currency: p.Order.Currency, Share: share, Date: op.First,
		}})
	}
	if err := future.Get(ctx, &result); err != nil {
		return err
	}
	p.find(op.Operation, op.N).Record = result.ID
	p.learnDocument(workflow.Now(ctx), op.Operation, result)
	return nil
}

// newAddress is where an amendment sends the goods.
func (s *State) newAddress() order.Address {
	if s.Amendment != nil && s.Amendment.ShipTo != nil {
		return *s.Amendment.ShipTo
	}
	return s.shipTo()
}

// saleKey is the key of the order's one sale, whatever about it is written.
func (s *State) saleKey() string {
	return order.Intent{Order: s.Order.ID, Operation: order.Record, N: 1}.Key()
}

// ordered is the order as it goes out now: to the address that it has by now.
func (s *State) ordered() order.Order {
	o := s.Order
	o.ShipTo = s.shipTo()
	return o
}

func (p *process) update(ctx workflow.Context, op Operation) error {
	var result crm.CustomerResult
	err := workflow.ExecuteActivity(ctx, people.UpdateCustomer, repair.Write[crm.CustomerRequest]{Grant: op.Grant, Since: op.First, Request: crm.CustomerRequest{
		Contact: crm.ContactRequest{Order: p.Order.ID, Customer: p.Order.Customer, ShipTo: p.shipTo()},
		Deal: crm.DealRequest{
			Order: p.Order.ID, Cart: p.Order.CartID, Stage: reconcile.DealStage(op.About), Revenue: p.amount(op.Amount),
		},
		Subject: p.subject(order.SystemCRM),
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	seen := p.known(order.SystemCRM, workflow.Now(ctx))
	seen.CRM = &result.CRM
	p.learn(seen)
	if result.EmailTaken {
		p.ask(ctx, "crm.contact", "the e-mail belongs to a contact with another customer id; ours was made without e-mail",
			"merge the two contacts in the CRM, or leave them apart")
	}
	return nil
}

func (p *process) send(ctx workflow.Context, op Operation) error {
	var result reconcile.Message
	err := workflow.ExecuteActivity(ctx, post.SendMail, repair.Write[mail.SendInput]{Grant: op.Grant, Since: op.First, Request: mail.SendInput{
		SendRequest: p.message(op), Subject: p.subject(order.SystemMail), LookFirst: p.Adopted || op.Repairs > 0 || op.Grant != nil || op.Doubt || op.Why != "",
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.find(op.Operation, op.N).Record = result.MessageID
	p.learnMessage(workflow.Now(ctx), result)
	return nil
}

// message writes the request of one mail from what is true now.
func (p *process) message(op Operation) mail.SendRequest {
	r := mail.SendRequest{
		Key: p.Key(op), Order: p.Order.ID, Template: reconcile.Template(op.About), Occasion: op.Of,
		To: p.Order.Customer.Email, Name: p.Order.Customer.Name, Due: op.First,
		Content: mail.Content{Amount: p.amount(p.Order.Total)},
	}
	for _, m := range p.mails() {
		if m.Template == r.Template && m.Occasion == r.Occasion {
			r.Due = m.Due
		}
	}
	p.fill(&r, op)
	return r
}

// fill writes what a mail is about: what is true of the order now.
func (p *process) fill(r *mail.SendRequest, op Operation) {
	c := &r.Content
	switch r.Template {
	case reconcile.MailShipped:
		p.fillShare(c, p.share(op.Of))
		c.Rest = p.shares(order.Less(p.Order, p.wanted(), p.shippedThrough(op.Of)))
		if sh := p.parcel(p.Departures[op.Of-1]); sh != nil {
			c.Tracking = sh.Tracking
		}
	case reconcile.MailConfirmation:
		p.fillShare(c, order.ShareOf(p.Order, nil, p.wanted()))
	case reconcile.MailRefund:
		if refund := p.find(order.Refund, op.Of); refund != nil {
			c.Amount = p.amount(refund.Amount)
			if refund.About == aboutReturn {
				c.Lines = p.worth(p.Returns[refund.Of-1]).Lines
			}
		}
	case reconcile.MailQuestion:
		q := p.Questions[op.Of-1]
		c.Kind, c.Missing, c.Deadline = string(q.Kind), p.shares(q.Lines), q.Deadline
		c.Lines = p.shares(order.Less(p.Order, p.unshipped(), q.Lines))
		c.Amount = p.amount(p.value())
		if q.Kind == AskAboutPayment {
			c.Amount = p.amount(p.value() - p.captured())
		}
	case reconcile.MailCancellation:
		c.Kind, c.Lines = mail.KindRequest, p.shares(p.Order.AllLines())
		switch {
		case p.Phase == order.PhaseFailed && (p.Failed == failedStock || p.Revived):
			c.Kind = mail.KindStock
		case p.Phase == order.PhaseFailed:
			c.Kind = mail.KindPayment
		}
		_, captured, _, _ := p.money()
		c.Amount = p.amount(captured)
	}
}

func (p *process) fillShare(c *mail.Content, share order.Share) {
	c.Lines, c.Amount = share.Lines, p.amount(share.Total)
	c.Shipping, c.Discount = share.Shipping+share.ShippingTax, share.Discount
}

// shares are the lines of some pieces with their prices.
func (p *process) shares(lines []order.Quantity) []order.LineShare {
	return order.ShareOf(p.Order, nil, lines).Lines
}
