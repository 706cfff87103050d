package reconcile

import "strings"

// explain marks the findings that only follow from another one, so that one
// thing that went wrong is one break.
func explain(findings []finding) {
	explainMoney(findings)
	for n := range findings {
		f := &findings[n]
		if f.situation == "" && !f.expected.Field.sumOfOthers() {
			continue
		}
		switch f.expected.Field {
		case ERPBalance:
			// The balance is the sum of the documents: it says something of its own
			// only when they are all right.
			f.derived = anyDiffers(findings, ERPSale, "") || anyDiffers(findings, ERPInvoices, "") ||
				anyDiffers(findings, ERPReceipts, "") || anyDiffers(findings, ERPCredits, "")
		case CRMRevenue:
			f.derived = anyDiffers(findings, CRMDeal, Missing)
		case WarehouseLines:
			f.derived = itemDiffers(findings, WarehouseShipment, f.expected.Item)
		case WarehouseTracking:
			request := requestOf(f.expected.Item)
			f.derived = itemDiffers(findings, WarehouseShipment, request) || itemDiffers(findings, WarehouseLines, request)
		case WarehouseShipped:
			f.derived = anyDiffers(findings, WarehouseShipment, "") || anyDiffers(findings, WarehouseLines, "")
		case ERPSale, ERPInvoices, ERPReceipts, ERPCredits:
			f.derived = f.situation == Unexpected && draftOfMissing(findings, f.expected)
		}
	}
}

// sumOfOthers says that agreeing means nothing while the parts differ.
func (f Field) sumOfOthers() bool { return f == ERPBalance || f == WarehouseShipped }

// explainMoney: money that moved from held to captured, or should have and did
// not, is a break of what was captured, not of what is held. A capture may
// release the rest of what was held.
func explainMoney(findings []finding) {
	held, captured := -1, -1
	for n, f := range findings {
		switch f.expected.Field {
		case PaymentHeld:
			held = n
		case PaymentCaptured:
			captured = n
		}
	}
	if held < 0 || captured < 0 || findings[held].situation == "" || findings[captured].situation == "" {
		return
	}
	h, c := findings[held], findings[captured]
	more := number(h.observed) - number(h.expected.Value)
	uncaptured := number(c.expected.Value) - number(c.observed)
	findings[held].derived = uncaptured > 0 && more >= uncaptured || uncaptured < 0 && more <= uncaptured
}

func anyDiffers(findings []finding, f Field, s Situation) bool {
	for _, other := range findings {
		if other.expected.Field == f && other.situation != "" && (s == "" || other.situation == s) && !isDraft(other.expected.Item) {
			return true
		}
	}
	return false
}

func itemDiffers(findings []finding, f Field, item string) bool {
	for _, other := range findings {
		if other.expected.Field == f && other.expected.Item == item && other.situation != "" {
			return true
		}
	}
	return false
}

func isDraft(item string) bool { return strings.HasPrefix(item, draftPrefix) }

// draftKey returns the key of the document that a draft's item names.
func draftKey(item string) string {
	_, key, _ := strings.Cut(item, " of ")
	return key
}

// draftOfMissing says that a draft is on its way to become a document that is
// missing: the missing one says all there is to say.
func draftOfMissing(findings []finding, draft Expectation) bool {
	if !isDraft(draft.Item) {
		return false
	}
	for _, other := range findings {
		if other.expected.Field == draft.Field && other.expected.Item == draftKey(draft.Item) && other.situation == Missing {
			return true
		}
	}
	return false
}
