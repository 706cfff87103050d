package workflows_test

import (
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// Whoever sends a mail names its record. Each name makes an id that the engine takes,
// and what the inbox lists finds it again.
func TestRecordName_OfAnything_IsAnID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 600)
	for record, want := range map[string]string{
		"pi_123":               "pi_123",
		"<1.2@shop.example>":   "<1.2@shop.example>",
		"<\xff\xfe@\x00\r\n>":  "<??@???>...6a8fd8259dabc7f1",
		"<grüße@shop.example>": "",
		long:                   "",
		"x" + long:             "",
		long + "\xff":          "",
	} {
		name := workflows.RecordName(record)
		id := workflows.InboxWorkflowID(order.SystemMail, record)
		if !workflows.Printable(id) || len(id) > 255 {
			t.Errorf("the id of %q is %q", record, id)
		}
		if want != "" && name != want {
			t.Errorf("the name of %q is %q, want %q", record, name, want)
		}
		system, listed, ours := workflows.InboxOf(id)
		if !ours || listed != name || workflows.InboxWorkflowID(system, listed) != id {
			t.Errorf("%q is listed as %q, which is another one", record, listed)
		}
	}
	for one, other := range map[string]string{long + "1": long + "2", "<a\x00>": "<a\x01>", "<ä@b>": "<ö@b>"} {
		if workflows.RecordName(one) == workflows.RecordName(other) {
			t.Errorf("%q and %q have one name", one, other)
		}
	}
}
