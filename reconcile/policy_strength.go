package reconcile

import (
	"fmt"
	"strings"
)

// A strength means something where a rule asks for it. Elsewhere a file that names
// one would promise what nobody does, so it is refused, and the table shows none.

// strengths returns those that differ in what they do about a field, the strongest
// first; none where the business rules decide alone.
func (f Field) strengths() []Strength {
	switch f {
	case InventoryReserved, WarehouseShipment, WarehouseReturn, ERPSale, ERPInvoices, ERPReceipts, ERPCredits:
		// There what somebody took away is put back, or asked about. What is there
		// otherwise than it was made is never written over, nor believed without a
		// person: to fill or to adopt would be to ask.
		return []Strength{Enforce, EnforceOurs}
	case CRMContact, CRMDeal, CRMRevenue:
		return []Strength{Enforce, EnforceOurs, FillEmpty, AdoptTheirs}
	}
	return nil
}

// decides is the strength where it decides something, and none elsewhere.
func (r Rule) decides() Strength {
	if len(r.Field.strengths()) == 0 {
		return ""
	}
	return r.Strength
}

// pressed is the strength as a person reads it: none where it decides nothing.
func (r Rule) pressed() string { return orDash(string(r.decides())) }

// repaired says that some difference in the field is put right without a person. Of the
// others what is so is taken into the order, or somebody is asked: no run asks for a
// grant there, and a limit on its repairs would bound nothing.
func (f Field) repaired() bool {
	switch f {
	case PaymentHeld, PaymentRefunded, PaymentDisputed, WarehouseLines, WarehouseShipped, WarehouseTracking, WarehouseDuplicate, ERPBalance:
		return false
	}
	return true
}

// limitRefuses says why a limit has no effect on a field, and what to choose instead;
// nothing of one that has. None at all is taken everywhere, for it is what `trueup
// policy print --yaml` writes.
func (f Field) limitRefuses(setting, value string) string {
	switch {
	case value == "0":
	case setting == "tolerance" && !f.quantity() && !f.document() && f != InventoryLevel:
		return fmt.Sprintf("tolerance is %s, which has no effect: the field says neither an amount of money nor a number of pieces; leave it out", value)
	case (setting == "max_count" || setting == "max_money") && !f.repaired():
		return fmt.Sprintf("%s is %s, which has no effect: nothing of this field is repaired without a person; leave it out, and choose by mode how much is done", setting, value)
	case setting == "max_money" && !f.money():
		return fmt.Sprintf("max_money is %s, which has no effect: to put this field right moves no money and has none at risk; bound it by max_count", value)
	}
	return ""
}

const strengthHelp = "what becomes of what somebody changed or took away there; - where the business rules decide that alone"

func choices(all []Strength) string {
	var words []string
	for _, s := range all {
		words = append(words, string(s))
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
