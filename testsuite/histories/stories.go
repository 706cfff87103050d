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
		{"unpaid", "Nobody pays", "the gateway is asked before anything is taken back.", "Unpaid past the pay window"},
		{"paid-late", "Paid after it was given up", "the money comes when the stock was released: it is reserved again, and the order goes on.", "Any attempt that captured or authorized decides the order"},
		{"paid-twice", "Two attempts take the money", "what was taken twice goes back by itself, once, and the customer gets their goods.", "Any attempt that captured or authorized decides the order"},
		{"review-approved", "A review ends well", "nothing is asked of the warehouse while the review is open.", "Review"},
		{"review-declined", "A review ends badly", "nothing was asked of the warehouse; what was held goes back, the stock is released, one notice.", "Review"},
		{"not-all-available", "Not all is there, and the customer takes what there is", "inventory says what there is, the customer is asked, and answers amend.", "Not all available"},
		{"not-answered", "Not all is there, and nobody answers", "the question's timer runs out: what is there goes, the rest is given up.", "Not all available"},
		{"address-changed", "It goes to another address", "the warehouse first, then the books and the CRM.", "Address change"},
		{"address-refused", "A new address comes when it is packed", "the warehouse refuses; a case asks what to do, and the order goes on.", "Address change"},
		{"dropped-line", "The customer drops a line", "the request is taken back and made anew with what is left; only that is captured.", "Several shipments"},
		{"two-parcels", "The warehouse sends two parcels", "each parcel is captured, invoiced, committed and told of as a number of its own.", "Several shipments"},
		{"authorized-anew", "The first capture ends the authorization", "the rest is authorized anew at once with the stored method, and captured when it leaves.", "Several shipments"},
		{"not-paid-again", "The rest cannot be authorized, and nobody answers", "the request for the rest is taken back, the customer is asked, and the rest is given up.", "Several shipments"},
		{"cancelled", "Cancelled before it is packed", "the warehouse first, then the money, then the stock.", "Cancelled before the warehouse has packed"},
		{"cancel-refused", "Cancelled when it is packed", "the warehouse refuses; the order goes on, and a case asks what to do.", "Cancelled before the warehouse has packed"},
		{"lost-in-transit", "A parcel is lost, and is sent once more", "the warehouse says that it is lost; a person decides.", "Several shipments"},
		{"returned", "A line comes back", "refunded once the warehouse has it, credited and told of once the gateway says that it succeeded, counted once it lies in storage.", "Returns after delivery"},
		{"refund-failed", "A refund fails days later", "it was accepted, and fails after all: a case, and a person has it made again.", "Refunds"},
		{"dispute-lost", "A dispute is lost", "a case while it runs; lost, it is the refund: a credit note, and no second money out.", "Disputes"},
		{"dispute-shipped", "A dispute before it ships, and a person ships it", "the request is taken back; the decision has it made again.", "Disputes"},
		{"closed-and-charged-back", "Charged back after it was closed", "the fact opens the closed order again: what it knew is carried in its input.", "Disputes"},
		{"repaired", "Somebody edits a record, and it is repaired", "confirmed by two readings, written again under its own key, read back.", ""},
	}
}
