package reconcile

import (
	"slices"
	"strconv"

	"github.com/trueup-orders/trueup/order"
)

// payment: the gateway is right about what moved. What it took or gave back
// beyond the intent is adopted, and the order goes on from there; less than
// intended is done again only where the money is still held; money that only a
// person may move is asked about.
func (x *planning) payment(b Break) Step {
	expected, observed := x.say(b.Field, b.Expected), x.say(b.Field, b.Observed)
	switch b.Field {
	case PaymentHeld:
		return x.held(b)
	case PaymentCaptured:
		return x.captured(b)
	case PaymentRefunded:
		if number(b.Observed) > number(b.Expected) {
			return adopt(b, "the gateway gave back "+observed+"; it decides what money moved")
		}
		return ask(b, "the gateway gave back "+observed+" instead of "+expected+": a refund failed after it was accepted",
			"refund again", "pay back another way", doneByHand).by(order.Refund, "", number(b.Expected)-number(b.Observed))
	case PaymentDisputed:
		return ask(b, observed+" is in dispute; automatic refunds stop and nothing more ships", "answer the dispute with the evidence",
			"accept: let it run", doneByHand)
	case PaymentOpen:
		return moving(b, order.Void, number(b.Observed), "the attempt can still take money and none should be able to")
	case PaymentAttempts:
		return x.surplus(b)
	}
	return report(b, "no rule knows this field")
}

// held: an authorization died or was voided there. Whether the customer's method
// may be charged again without them is for a person to know.
func (x *planning) held(b Break) Step {
	why := "the gateway holds " + x.say(b.Field, b.Observed) + " instead of " + x.say(b.Field, b.Expected)
	short := number(b.Expected) - number(b.Observed)
	if short <= 0 {
		return ask(b, why, "release at the gateway what is too much", letStand, doneByHand)
	}
	return ask(b, why, "authorize again with the stored method", "ask the customer for another payment", cancelOrder,
		doneByHand).by(order.Authorize, "", short)
}

func (x *planning) captured(b Break) Step {
	expected, observed := x.say(b.Field, b.Expected), x.say(b.Field, b.Observed)
	if number(b.Observed) > number(b.Expected) {
		return adopt(b, "the gateway captured "+observed+"; it decides what money moved")
	}
	lost := number(b.Expected) - number(b.Observed)
	missing := x.say(b.Field, strconv.FormatInt(lost, 10))
	enough := x.covers(lost)
	switch {
	case x.edited(b) && enough:
		return ask(b, "the gateway had captured "+expected+" and now says "+observed, "capture "+missing+", which it still holds",
			"ask the gateway what became of it", doneByHand).by(order.Capture, "", lost)
	case x.edited(b):
		return ask(b, "the gateway had captured "+expected+" and now says "+observed, "ask the gateway what became of it", doneByHand)
	case x.inDispute():
		return ask(b, "the capture is missing while money is in dispute", "wait for the dispute", "capture "+missing, doneByHand)
	case x.owesRefund():
		return ask(b, "a capture is missing, and so is a refund: taking the whole again would be more than the order keeps",
			"capture "+missing+" and give back what was refunded", doneByHand).by(order.Capture, "", lost)
	case !enough:
		return ask(b, "the gateway captured "+observed+" instead of "+expected+" and does not hold the rest any more",
			"authorize "+missing+" again with the stored method", "ask the customer", doneByHand).by(order.Authorize, "", lost)
	}
	return moving(b, order.Capture, lost, "our capture was lost: the gateway still holds the money")
}

// owesRefund says that less went back than should have.
func (x *planning) owesRefund() bool {
	return slices.ContainsFunc(x.breaks, func(b Break) bool {
		return b.Field == PaymentRefunded && number(b.Observed) < number(b.Expected)
	})
}

// covers says that the gateway holds enough for a capture to be done again, and
// for what has not left yet besides. More may be held than that costs.
func (x *planning) covers(lost int64) bool {
	o, found := x.observation(order.SystemPayment)
	if !found || o.Payment == nil {
		return false
	}
	held := moneyOf(x.intent, o.Payment.Attempts).held
	later := min(x.intent.Held, max(0, x.intent.Total-x.intent.Captured))
	return held >= lost && held-lost >= later
}

// surplus: a second capture is given back by itself when the gateway's own
// records prove it, and these are what the break was made from. A dispute stops
// automatic refunds.
func (x *planning) surplus(b Break) Step {
	amount := x.say(b.Field, b.Observed)
	switch {
	case b.Situation != Duplicate:
		return ask(b, "the attempt is in another currency than the order", "close or refund it at the gateway", letStand, doneByHand)
	case x.inDispute():
		return ask(b, amount+" was taken twice, and a dispute is open", "refund "+amount+" when the dispute is over", doneByHand)
	case x.disputed():
		return ask(b, amount+" was taken twice, and a dispute was lost", "refund "+amount, letStand, doneByHand).
			by(order.Refund, "", number(b.Observed))
	}
	return moving(b, order.Refund, number(b.Observed), amount+" was taken beyond the order's total: the surplus is given back")
}

// disputed says that money of the order is or was in dispute.
func (x *planning) disputed() bool {
	o, found := x.observation(order.SystemPayment)
	return x.inDispute() || found && o.Payment != nil && moneyOf(x.intent, o.Payment.Attempts).lost > 0
}

// inDispute says that a dispute is open.
func (x *planning) inDispute() bool {
	if o, found := x.observation(order.SystemPayment); found && o.Payment != nil {
		return moneyOf(x.intent, o.Payment.Attempts).disputed > 0
	}
	return x.has(PaymentDisputed)
}

// inventory: a promise that was lost is made again; what is promised and should
// not be any more is released, or committed when the goods have left.
func (x *planning) inventory(b Break) Step {
	release, word := order.Release, "released"
	if x.shipped() {
		release, word = order.Commit, "committed"
	}
	if number(b.Observed) < number(b.Expected) && x.removed(b) {
		return ask(b, "somebody took the reservation away, or a part of it, in inventory itself", "reserve again what is missing", letStand, doneByHand).
			by(order.Reserve, "", 0)
	}
	switch b.Situation {
	case Missing:
		return repair(b, order.Reserve, "", "the reservation is gone")
	case Unexpected:
		return repair(b, release, "", "the reservation should have been "+word)
	case Duplicate:
		if number(b.Observed) < number(b.Expected) {
			return repair(b, order.Reserve, "", "the reservation is too small")
		}
		return repair(b, release, "", "one line is reserved twice: the surplus is "+word)
	case Mismatch:
		if number(b.Observed) < number(b.Expected) {
			return repair(b, order.Reserve, "", "the reservation is too small")
		}
		if x.edited(b) {
			return ask(b, "somebody reserved more for the order in inventory itself", "release what is too much", letStand, doneByHand).
				by(order.Release, "", 0)
		}
		return repair(b, release, "", "the reservation should have been "+word+" in part")
	case Conflict:
	}
	return report(b, "no rule knows this situation")
}

// shipped says that some of the order's goods have left.
func (x *planning) shipped() bool {
	return x.intent.Phase == order.PhaseShipped || x.intent.Phase == order.PhaseDelivered || x.intent.Phase == order.PhaseClosed ||
		slices.ContainsFunc(x.intent.Shipments, func(s ShipmentIntent) bool { return s.State.out() })
}

// warehouse: a request that was lost is made again, when it is paid for; one
// that nobody wants is cancelled while it is not packed. All else is physical.
func (x *planning) warehouse(b Break) Step {
	switch b.Field {
	case WarehouseShipment:
		return x.shipment(b)
	case WarehouseLines:
		return ask(b, "the warehouse has "+orNothing(b.Observed)+" instead of "+orNothing(b.Expected), "cancel and request it again",
			letValueStand("the warehouse's lines"), doneByHand)
	case WarehouseShipped:
		return ask(b, "the warehouse shipped "+orNothing(b.Observed)+" of "+b.Item+" instead of "+b.Expected, "ask the warehouse", doneByHand)
	case WarehouseTracking:
		return ask(b, "the customer was told to follow "+b.Expected+", and the warehouse says "+orNothing(b.Observed),
			"accept: tell the customer what the warehouse says, and let it stand", doneByHand)
	case WarehouseReturn:
		return x.returned(b)
	case WarehouseDuplicate:
		return ask(b, "the same goods are in "+b.Observed+" live shipments", "cancel all but one in the warehouse", doneByHand)
	}
	return report(b, "no rule knows this field")
}

func (x *planning) shipment(b Break) Step {
	switch b.Situation {
	case Missing:
		was := x.reached(b)
		gone := "the warehouse had the shipment " + string(was) + " and knows it no longer"
		if was.out() {
			return ask(b, gone, "ask the warehouse", letStand, doneByHand)
		}
		if o, found := x.observation(order.SystemPayment); !found || o.State == Unreadable {
			return report(b, "the request is gone; it waits for the gateway, which must prove that it is paid and cannot be read")
		}
		if x.unpaid() != "" {
			return x.requestAgain(b, "the request is gone")
		}
		if was.Rank() > ShipmentRequested.Rank() {
			return x.requestAgain(b, gone)
		}
		if x.removed(b) {
			return x.requestAgain(b, "somebody deleted the request in the warehouse itself")
		}
		return repair(b, order.Request, b.Item, "the request is gone")
	case Unexpected:
		if ShipmentState(b.Observed).Rank() >= ShipmentPacked.Rank() {
			return ask(b, "the shipment is "+b.Observed+" and nobody wants it any more: reality wins", "let it go and charge for it",
				"stop it in the warehouse", doneByHand)
		}
		return repair(b, order.Cancel, b.Item, "nobody wants the shipment any more, and it is not packed")
	case Mismatch, Conflict, Duplicate:
		if b.Observed == string(ShipmentCancelled) {
			return x.requestAgain(b, "the warehouse cancelled the shipment")
		}
		return ask(b, "the shipment went back from "+b.Expected+" to "+b.Observed, "ask the warehouse", doneByHand)
	}
	return report(b, "no rule knows this situation")
}

// reached is how far a shipment had come that the warehouse knows no longer. What was
// seen packed may have left unseen.
func (x *planning) reached(b Break) ShipmentState {
	base, _ := x.base(b)
	if was := ShipmentState(base); was.Rank() >= ShipmentPacked.Rank() && was.Rank() > ShipmentState(b.Expected).Rank() {
		return was
	}
	return ShipmentState(b.Expected)
}

// requestAgain asks whether goods are to be requested again. What is in dispute
// ships when a person says so, what is not paid does not.
func (x *planning) requestAgain(b Break, why string) Step {
	unpaid := x.unpaid()
	if unpaid != "" {
		why += ", and " + unpaid
	}
	if unpaid == "" || unpaid == inDisputeText {
		return ask(b, why, "request it again", cancelOrder, doneByHand).by(order.Request, b.Item, 0)
	}
	return ask(b, why, "request it again when it is paid", cancelOrder, doneByHand)
}

// inDisputeText is why disputed goods are not requested by a rule.
const inDisputeText = "money is in dispute"

// returned: what comes back is a fact. An announcement that was lost is made
// again while nothing has come; goods that nobody announced are taken up.
func (x *planning) returned(b Break) Step {
	switch b.Situation {
	case Missing:
		if ReturnState(b.Expected) != ReturnExpected {
			return ask(b, "the warehouse had the returned goods as "+b.Expected+" and knows nothing of them any more", "ask the warehouse",
				letStand, doneByHand)
		}
		if x.removed(b) {
			return ask(b, "somebody deleted the announced return in the warehouse itself", "announce it again", "accept: give the return up", doneByHand).
				by(order.Return, b.Item, 0)
		}
		return repair(b, order.Return, b.Item, "the warehouse does not know that the goods come back")
	case Unexpected:
		return adopt(b, "goods come back that nobody announced; the warehouse decides what is there")
	case Duplicate:
		return ask(b, "the same goods come back in "+b.Observed, "cancel all but one in the warehouse", letStand, doneByHand)
	case Mismatch, Conflict:
		if b.Observed == string(ReturnCancelled) {
			return ask(b, "the warehouse cancelled the return", "announce it again", "accept: give the return up", doneByHand).by(order.Return, b.Item, 0)
		}
		return ask(b, "the return went back from "+b.Expected+" to "+b.Observed, "ask the warehouse", letStand, doneByHand)
	}
	return report(b, "no rule knows this situation")
}

// unpaid says why goods must not be requested now, or nothing: only positive
// proof counts. A capture that is done again is no doubt: the gateway holds the
// money, and more is not asked before goods are requested either.
func (x *planning) unpaid() string {
	o, found := x.observation(order.SystemPayment)
	switch {
	case x.inDispute():
		return inDisputeText
	case x.disputed():
		return "a dispute was lost"
	case x.has(PaymentHeld) || x.unrepaired(PaymentCaptured):
		return "it is not certain that it is paid"
	case !found || o.Payment == nil:
		return "it is not paid"
	}
	m := moneyOf(x.intent, o.Payment.Attempts)
	if m.held+m.captured-m.refunded-m.disputed <= 0 {
		return "it is not paid"
	}
	return ""
}

// erp: what is missing is booked under its key; what is booked is never changed
// by us. A document made there by hand may be the missing one: that is asked.
func (x *planning) erp(b Break) Step {
	if b.Field == ERPBalance {
		return ask(b, "by the books the customer owes "+x.say(b.Field, b.Observed)+" instead of "+x.say(b.Field, b.Expected)+
			", and every document is right", "find the booking that does not belong", doneByHand)
	}
	operation := documentOperation(b.Field)
	switch b.Situation {
	case Missing:
		switch {
		case x.twin(b):
			return ask(b, "the document is missing, and another one of the same amount is there under no key of ours",
				"adopt it: put "+b.Item+" on it", "book it under "+b.Item, doneByHand)
		case b.Field != ERPSale && x.unrepaired(ERPSale, Missing):
			return report(b, "waits for the sale, which is missing too")
		case (b.Field == ERPReceipts || b.Field == ERPCredits) && x.unrepaired(ERPInvoices, Missing):
			return report(b, "waits for the invoice, which is missing too")
		case x.removed(b):
			return ask(b, "the document was there and is gone", "book it again under "+b.Item, letStand, doneByHand).by(operation, b.Item, 0)
		}
		return repair(b, operation, b.Item, "the document is missing")
	case Unexpected:
		if isDraft(b.Item) {
			return x.draft(b, operation)
		}
		return ask(b, "a document is booked that the order does not know", "cancel or credit it in the ERP", letStand, doneByHand)
	case Duplicate:
		return ask(b, "the document is booked more than once", "cancel or credit the surplus in the ERP", doneByHand)
	case Mismatch:
		return ask(b, "the document says "+x.say(b.Field, b.Observed)+" instead of "+x.say(b.Field, b.Expected)+
			", and what is booked is never changed", "correct it in the ERP", letStand, doneByHand)
	case Conflict:
	}
	return report(b, "no rule knows this situation")
}

// draft: doing the operation again under its key removes drafts left behind.
// One that belongs to no document of the order books nothing and is only named.
func (x *planning) draft(b Break, operation order.Operation) Step {
	key := draftKey(b.Item)
	for _, d := range x.intent.documents(b.Field) {
		if d.Key == key {
			return repair(b, operation, key, "a draft was left behind beside the booked document")
		}
	}
	return report(b, "a draft that books nothing was left behind")
}

// documents returns the documents that a field is about.
func (i Intent) documents(f Field) []DocumentIntent {
	switch f {
	case ERPSale:
		if i.Sale != nil {
			return []DocumentIntent{*i.Sale}
		}
	case ERPInvoices:
		return i.Invoices
	case ERPReceipts:
		return i.Receipts
	case ERPCredits:
		return i.Credits
	}
	return nil
}

// twin says that a document of the missing one's amount is there unasked.
func (x *planning) twin(b Break) bool {
	for _, other := range x.breaks {
		if other.Field == b.Field && other.Situation == Unexpected && !isDraft(other.Item) && other.Observed == b.Expected {
			return true
		}
	}
	return false
}

func documentOperation(f Field) order.Operation {
	switch f {
	case ERPSale:
		return order.Record
	case ERPInvoices:
		return order.Invoice
	case ERPReceipts:
		return order.Receipt
	case ERPCredits:
		return order.Credit
	}
	return ""
}

// crm: contact, deal and carts are upserted on unique properties, so doing it
// again is harmless, and what is empty may be filled. What was edited there is re-asserted only where we own it.
func (x *planning) crm(b Break) Step {
	switch {
	case b.Situation == Duplicate:
		return ask(b, "there is more than one "+b.Field.fact(), "merge them in the CRM", letStand, doneByHand)
	case b.Field == CRMDeal && b.Situation == Unexpected && x.intent.endedWithoutDeal():
		return repair(b, order.Upsert, "", "the order has ended without a deal, and the CRM counts one")
	case b.Field == CRMDeal && b.Situation == Unexpected:
		return report(b, "a deal is there before the order has one")
	case b.Field != CRMContact && b.Field != CRMCarts && x.unrepaired(CRMContact, Missing):
		return report(b, "waits for the contact, which is missing")
	case b.Situation == Missing && !x.removed(b):
		return repair(b, order.Upsert, "", "the CRM does not have it")
	case b.Field == CRMCarts:
		return repair(b, order.Upsert, "", "the cart became this order and is still open")
	case b.Situation != Missing && !x.edited(b):
		return repair(b, order.Upsert, "", "our write was lost")
	}
	if b.Situation == Missing && x.policy.Rule(b.Field).Strength == FillEmpty {
		return ask(b, "somebody deleted it in the CRM itself: it may have to be forgotten", "make it again", letStand, doneByHand).by(order.Upsert, "", 0)
	}
	switch x.policy.Rule(b.Field).Strength {
	case Enforce:
		return repair(b, order.Upsert, "", "it was changed there, and the order is right")
	case AdoptTheirs:
		return adopt(b, "it was changed there, and the CRM is right")
	case EnforceOurs:
		return ask(b, "it was changed in the CRM itself", "set it to "+x.say(b.Field, b.Expected),
			letValueStand(x.say(b.Field, b.Observed)), doneByHand).by(order.Upsert, "", 0)
	case FillEmpty:
		return report(b, "it was changed there; only what is empty is filled")
	}
	return report(b, "no rule knows this strength")
}

// mail: one that is missing is sent while it is still news; one that was sent
// too often cannot be taken back.
func (x *planning) mail(b Break) Step {
	switch b.Situation {
	case Missing:
		if base, known := x.base(b); known && base != "" { // also one that was seen twice
			return adopt(b, "the mail was accepted or seen in the journal once, and is not there any more: it is not sent a second time")
		}
		for _, m := range x.intent.Mails {
			if MailField(m.Template) != b.Field || strconv.Itoa(m.Occasion) != b.Item {
				continue
			}
			if x.asOf.Before(m.Due.Add(x.policy.MailWithin)) {
				return repair(b, order.Send, "", "the mail was never sent")
			}
		}
		return report(b, "the mail was never sent, and its news is too old")
	case Duplicate:
		return adopt(b, "the customer got the mail more than once, which cannot be taken back")
	case Unexpected:
		return adopt(b, "a mail went out that the order does not know, which cannot be taken back")
	case Mismatch, Conflict:
	}
	return report(b, "no rule knows this situation")
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
