// Package histories holds recorded histories of orders and what they show. Its
// tests replay them with today's code: a change of workflow code that would decide
// otherwise about an order which is under way fails here, and takes a version (see
// workflows/versions.go). They are recorded by the end-to-end tests with -record.
package histories

// Story is what a recorded history shows, in words.
type Story struct {
	Name  string // of the file, without .json
	Title string
	// Look says what to look at in it.
	Look string
	// Rule is the business rule that it follows, as docs/design.md calls it.
	Rule string
}

// Stories are all recorded histories, in the order in which one reads them.
func Stories() []Story {
	return []Story{
		{"delivered", "Everything goes well", "reserved, authorized, requested; captured, invoiced and committed once the parcel has left.", "Money on a card"},
		{"customer-acts", "The customer proves who they are", "the authorization waits for the customer; a notice says that they were there, and the order goes on.", "Money on a card"},
		{"asynchronous", "A bank takes its time", "the attempt is processing, which is not unpaid; the bank's word comes as a notice.", "Unpaid past the pay window"},
		{"declined", "A card is declined, and nobody tries another", "no error, but an answer; the pay window runs out, the attempt is closed at the gateway, then the stock goes back.", "Unpaid past the pay window"},
		{"second-attempt", "A card is declined, another one pays", "the second attempt has a number and a key of its own; the first one is closed.", "Any attempt that captured or authorized decides the order"},
		{"another-tab", "Paid in another tab", "the customer pays in a second tab; the old attempt is closed at the gateway, and takes no money any more.", "Any attempt that captured or authorized decides the order"},
		{"unpaid", "Nobody pays", "the gateway is asked before anything is taken back.", "Unpaid past the pay window"},
		{"paid-late", "Paid after it was given up", "the money comes when the stock was released: it is reserved again, and the order goes on.", "Any attempt that captured or authorized decides the order"},
		{"paid-twice", "Two attempts take the money", "what was taken twice goes back by itself, once, and the customer gets their goods.", "Any attempt that captured or authorized decides the order"},
		{"stored-error", "The gateway repeats an error that it has stored", "the same key gets the same error for ever: it is looked up, and sent under the next name of the same intent.", "Money on a card"},
		{"somebody-elses-answer", "An answer about somebody else's payment", "it is no answer: the operation is in doubt, and repeated under its key.", "Money on a card"},
		{"before-its-order", "Paid at the checkout before its order came", "the webhook waits in the inbox; the order takes over the payment, and nothing is charged twice.", "Events and records we cannot place"},
		{"adopted", "An order of a year ago, which we no longer know", "submitted again, it is looked up in payment and books first, and taken over as it stands.", "Events and records we cannot place"},
		{"renewed", "An authorization is renewed before it dies", "the timer rings, the stored method is charged anew, and the old authorization is voided after.", "Money on a card"},
		{"review-approved", "A review ends well", "nothing is asked of the warehouse while the review is open.", "Review"},
		{"review-declined", "A review ends badly", "nothing was asked of the warehouse; what was held goes back, the stock is released, one notice.", "Review"},
		{"not-all-available", "Not all is there, and the customer takes what there is", "inventory says what there is, the customer is asked, and answers amend.", "Not all available"},
		{"not-answered", "Not all is there, and nobody answers", "the question's timer runs out: what is there goes, the rest is given up.", "Not all available"},
		{"last-unit", "Two orders race for the last unit", "inventory has promised it to the other one; the customer is asked, and cancels: nothing is held.", "Not all available"},
		{"stock-corrected", "Somebody counts the stock, and there is too little", "a run finds the youngest order that goes without; a person gives it up with its money.", "Stock"},
		{"address-changed", "It goes to another address", "the warehouse first, then the books and the CRM.", "Address change"},
		{"address-refused", "A new address comes when it is packed", "the warehouse refuses; a case asks what to do, and the order goes on.", "Address change"},
		{"dropped-line", "The customer drops a line", "the request is taken back and made anew with what is left; only that is captured.", "Several shipments"},
		{"drop-refused", "A line is dropped when it is packed", "the warehouse refuses; the order goes on whole.", "Several shipments"},
		{"given-up-by-the-warehouse", "The warehouse gives a request up", "nobody undoes that by himself: a case, and a person has it requested anew.", "Several shipments"},
		{"two-parcels", "The warehouse sends two parcels", "each parcel is captured, invoiced, committed and told of as a number of its own.", "Several shipments"},
		{"authorized-anew", "The first capture ends the authorization", "the rest is authorized anew at once with the stored method, and captured when it leaves.", "Several shipments"},
		{"not-paid-again", "The rest cannot be authorized, and nobody answers", "the request for the rest is taken back, the customer is asked, and the rest is given up.", "Several shipments"},
		{"cancelled", "Cancelled before it is packed", "the warehouse first, then the money, then the stock.", "Cancelled before the warehouse has packed"},
		{"cancel-refused", "Cancelled when it is packed", "the warehouse refuses; the order goes on, and a case asks what to do.", "Cancelled before the warehouse has packed"},
		{"cancelled-while-paying", "Cancelled while the money is taken", "the answer of the payment is lost, and the customer changes their mind: it is looked up, and goes back once.", "Cancelled before the warehouse has packed"},
		{"lost-in-transit", "A parcel is lost, and is sent once more", "the warehouse says that it is lost; a person decides.", "Several shipments"},
		{"lost-and-refunded", "A parcel is lost, and its money goes back", "the warehouse says that it is lost; a person has it refunded, with a credit note and one notice.", "Refunds"},
		{"returned", "A line comes back", "refunded once the warehouse has it, credited and told of once the gateway says that it succeeded, counted once it lies in storage.", "Returns after delivery"},
		{"not-restocked", "Goods come back and are not for sale any more", "refunded and credited once the warehouse has them; no level is raised.", "Returns after delivery"},
		{"return-and-dispute", "Goods come back while the money is in dispute", "what was decided is not sent: the refund waits for the end of the dispute, and goes out once.", "Disputes"},
		{"refund-failed", "A refund fails days later", "it was accepted, and fails after all: a case, and a person has it made again.", "Refunds"},
		{"dispute-lost", "A dispute is lost", "a case while it runs; lost, it is the refund: a credit note, and no second money out.", "Disputes"},
		{"dispute-shipped", "A dispute before it ships, and a person ships it", "the request is taken back; the decision has it made again.", "Disputes"},
		{"two-operators", "Two people decide one case", "the first decision is carried out, the second one is told that it came too late.", "Disputes"},
		{"closed-and-charged-back", "Charged back after it was closed", "the fact opens the closed order again: what it knew is carried in its input.", "Disputes"},
		{"committed-late", "A write lands after its caller gave up", "the sale and the invoice land when nobody waits for them any more: what is there is taken over, and a draft beside it, which books nothing, is removed by a run.", "ERP"},
		{"cart-closed", "The order came from an abandoned cart", "the deal is won at the pivot, and the cart is closed.", "CRM"},
		{"edited-by-hand", "People edit the contact while it ships", "their edits stay; only the order's own deal is written.", "CRM"},
		{"repaired", "Somebody edits a record, and it is repaired", "confirmed by two readings, written again under its own key, read back.", ""},
	}
}
