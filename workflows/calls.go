package workflows

import (
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

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

// How each operation is called: with what the systems need to know, and what is
// learnt from their answers.

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
		First: op.N == 1 && pay.Intent == "", PlacedAt: p.Order.PlacedAt,
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
		p.takeOver(now, a)
	}
}

// takeOver lets an attempt decide the order that was made anew. What it replaces
// is closed then.
func (p *process) takeOver(now time.Time, made reconcile.Attempt) {
	p.Payers = p.payersWith(now, made)
	for i := range p.Operations { // what did not go back is the order's money from now on: see captured
		if op := &p.Operations[i]; op.Operation == order.Refund && op.Ref == made.ID && op.About == aboutSurplus && (op.Status == Refused || op.Status == Unsent) {
			op.About = aboutHand
		}
	}
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
	var rule *reconcile.Kind
	if op.Ruled && op.Grant == nil && !op.Doubt { // what may have been done is finished
		rule = &reconcile.Kind{System: order.SystemPayment, Field: reconcile.PaymentAttempts, Situation: reconcile.Duplicate}
	}
	var result reconcile.Refund
	err := workflow.ExecuteActivity(ctx, gateway.RefundPayment, repair.Write[payment.RefundRequest]{Grant: op.Grant, Rule: rule, Since: op.First, Request: payment.RefundRequest{
		Key: p.Key(op), Order: p.Order.ID, Attempt: op.Ref, Amount: p.amount(op.Amount), Reason: op.About,
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.find(op.Operation, op.N).Record = result.ID
	p.learnRefund(workflow.Now(ctx), op.Ref, result)
	return nil
}

// reserve promises what the operation is about; done again, what was promised, or
// when that was refused, what of it is still to leave.
func (p *process) reserve(ctx workflow.Context, op Operation) error {
	lines := p.linesOf(op)
	switch {
	case op.Ended.IsZero():
	case op.Code == "":
		lines = p.Promised
	case p.Phase.PastPivot():
		lines = order.Common(p.Order, lines, order.Less(p.Order, p.wanted(), p.committed()))
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
	options.TaskQueue = CommitQueue
	_, attempt, _ := strings.Cut(options.ActivityID, " ") // see again
	options.ActivityID += " levels"
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), run.CommitStock, reconciliation.StockCommit{
		Order: p.Order.ID, Key: p.Key(op), Goods: order.BySKU(lines), Attempt: attempt,
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
		Leave:   p.left(op),
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
	var result mail.Sent
	request := p.message(op)
	if p.unsent(op) { // a later attempt may find this one's mail, whatever the warehouse says by then
		p.tells(request, op)
	}
	err := workflow.ExecuteActivity(ctx, post.SendMail, repair.Write[mail.SendInput]{Grant: op.Grant, Since: op.First, Request: mail.SendInput{
		SendRequest: request, Subject: p.subject(order.SystemMail), LookFirst: p.Adopted || op.Repairs > 0 || op.Grant != nil || op.Doubt || op.Why != "",
		Unsent: p.unsent(op),
	}}).Get(ctx, &result)
	if err != nil {
		return err
	}
	p.find(op.Operation, op.N).Record = result.MessageID
	if !result.Found {
		p.tells(request, op)
	}
	p.learnMessage(workflow.Now(ctx), result.Message)
	return nil
}

// tells remembers the number by which a mail has the customer follow a parcel.
func (p *process) tells(r mail.SendRequest, op Operation) {
	if r.Template == reconcile.MailShipped {
		p.Departures[op.Of-1].Told = r.Content.Tracking
	}
}

// unsent says that none of an operation's calls can have had an effect: none was in
// doubt, nor can there have been any before our memory begins, and it never ended, or in
// a refusal that a person has it repeated after.
func (s *State) unsent(op Operation) bool {
	switch {
	case op.Repairs > 0 || op.Grant != nil || op.Doubt:
		return false
	case op.Was != nil:
		return op.Was.Status == Refused
	}
	return op.Ended.IsZero() && (!s.Adopted || s.Traceless && s.leavesTrace(reconcile.Template(op.About)))
}

// leavesTrace says that payment or the ERP would know of an order for which a mail had gone
// out before our memory begins. A question may come before anybody has paid, and a
// cancellation too; what follows on a confirmation of ours is none of those.
func (s *State) leavesTrace(t reconcile.Template) bool {
	confirmed := s.mailed(reconcile.MailConfirmation, 1)
	return t != reconcile.MailQuestion && t != reconcile.MailCancellation || confirmed != nil && confirmed.Status == Done
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
			r.Due, r.Until = m.Due, p.lastMoment(m)
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
		captured := int64(0)
		for _, a := range p.attempts() {
			captured += a.Captured
		}
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
