// Package workflows holds the durable processes: an order's life (Order), the
// level of one SKU (Stock), what came before its order (Inbox), the keeper of
// reconciliation's state (Reconciliation), one run of it (Reconcile), and the
// sweep of a sealed day (Sweep) with what starts it (Sweeps).
//
// Workflow code is deterministic, sorted and free of interfaces. Its input,
// names and messages are durable contracts: see names.go and versions.go before
// you change one.
package workflows

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
)

// The task queues: one for workflows, one for each system, so that one system
// being slow or stopped never holds up another, and one for the activities that
// reconciliation runs.
const (
	Queue               = "trueup"
	ReconciliationQueue = "trueup-reconciliation"
	// CommitQueue is that of activities which wait for a level to be set: while its system
	// takes no writes they are many, and runs and feeds must not wait behind them.
	CommitQueue = "trueup-commits"
)

// SystemQueue is the task queue of one system's activities.
func SystemQueue(s order.System) string { return Queue + "-" + string(s) }

// The workflow types.
const (
	OrderType          = "Order"
	StockType          = "Stock"
	InboxType          = "Inbox"
	ReconciliationType = "Reconciliation"
	ReconcileType      = "Reconcile"
	SweepType          = "Sweep"
	SweepsType         = "Sweeps"
)

// The workflow ids.
const (
	ReconciliationID = "reconciliation"
	ScheduleID       = "reconcile"
	orderPrefix      = "order/"
	stockPrefix      = "stock/"
	inboxPrefix      = "inbox/"
	sweepPrefix      = "sweep/"
	// SweepsID is the schedule of sweeps.
	SweepsID = "sweeps"
)

// OrderWorkflowID is the workflow of an order: the only writer of its records.
func OrderWorkflowID(id order.ID) string { return orderPrefix + string(id) }

// StockWorkflowID is the workflow of a SKU: the only writer of its level.
func StockWorkflowID(sku string) string { return stockPrefix + sku }

// InboxWorkflowID is where what concerns a record waits for its order.
func InboxWorkflowID(s order.System, record string) string {
	return inboxPrefix + string(s) + "/" + RecordName(record)
}

const (
	// mostRecord bytes of a record's id are its name. The engine refuses a workflow id
	// of a thousand bytes, its database may already one of 255, and a summary has 400.
	mostRecord = 200
	// recordBegin bytes begin the name of a record with a longer id.
	recordBegin = 160
)

// RecordName is how a record is named here. Whoever sends us a mail chooses its
// Message-ID: one that is long, or has more than printable ASCII, goes by its beginning
// and a digest of all of it. The name of a name is itself.
func RecordName(record string) string {
	if len(record) <= mostRecord && Printable(record) {
		return record
	}
	digest := sha256.Sum256([]byte(record))
	begin := strings.Map(func(r rune) rune { // what is no UTF-8 comes as RuneError
		if unprintable(r) {
			return '?'
		}
		return r
	}, record)
	return begin[:min(len(begin), recordBegin)] + "..." + hex.EncodeToString(digest[:8])
}

// Printable says that a text is printable ASCII, and so may be the id of a workflow:
// the SDK sends it in a header of its calls too, and no other comes through.
func Printable(s string) bool {
	return !strings.ContainsFunc(s, unprintable)
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// SweepWorkflowID is the sweep of a day; the zero day is that of the exceptions
// of earlier sweeps.
func SweepWorkflowID(day time.Time) string {
	if day.IsZero() {
		return sweepPrefix + "exceptions"
	}
	return sweepPrefix + day.UTC().Format(time.DateOnly)
}

// sweepOf is the workflow of a sweep of several days. It has an id of its own: whoever
// sweeps one of them by hand waits for that day, and holds up no other.
func sweepOf(in SweepInput) string {
	if n := len(in.Days); n > 1 {
		return fmt.Sprintf("%s+%d", SweepWorkflowID(in.Day), n-1)
	}
	return SweepWorkflowID(in.Day)
}

// OrderOf returns the order whose workflow has this id.
func OrderOf(workflowID string) (order.ID, bool) {
	rest, ok := strings.CutPrefix(workflowID, orderPrefix)
	if !ok {
		return "", false
	}
	id, err := order.ParseID(rest)
	return id, err == nil
}

// InboxOf returns the system and the name of the record that wait in the inbox with
// this id.
func InboxOf(workflowID string) (s order.System, record string, ok bool) {
	rest, ours := strings.CutPrefix(workflowID, inboxPrefix)
	system, record, found := strings.Cut(rest, "/")
	return order.System(system), record, ours && found
}

// The messages. Updates are answered; signals are not.
const (
	SubmitUpdate    = "submit"
	CancelUpdate    = "cancel"
	AttemptUpdate   = "attempt"
	AmendUpdate     = "amend"
	AnswerUpdate    = "answer"
	ReturnUpdate    = "return"
	RefundUpdate    = "refund"
	DecideUpdate    = "decide"
	VerdictUpdate   = "verdict"
	VerdictQuery    = "verdict"
	ExplainQuery    = "explain"
	CasesQuery      = "cases"
	ReconcileUpdate = "reconcile"
	NoticeSignal    = "notice"
	CommitUpdate    = "commit"
	RehearseQuery   = "rehearse"
	GrantUpdate     = "grants"
	WouldGrantQuery = "would-grant"
	GroupUpdate     = "decide-group"
	MembersQuery    = "members"
	ReportUpdate    = "report"
	SwitchUpdate    = "switch"
	StatusQuery     = "status"
	// InboxQuery and InboxDecideUpdate are those of a record that no order claims.
	InboxQuery        = "inbox"
	InboxDecideUpdate = "decide"
	OrderSignal       = "order"
)

// The search attributes (D15), upserted together.
var (
	OutcomeAttribute   = temporal.NewSearchAttributeKeyKeyword("OrderOutcome")
	AgreementAttribute = temporal.NewSearchAttributeKeyKeyword("OrderAgreement")
	BreaksAttribute    = temporal.NewSearchAttributeKeyKeywordList("OrderBreaks")
	OldestAttribute    = temporal.NewSearchAttributeKeyTime("OrderOldestBreak")
	ChangedAttribute   = temporal.NewSearchAttributeKeyTime("OrderChanged")
)

// IntentMemo is the memo field that carries an order's intent, StakesMemo that of
// what is at stake while it does not agree.
const (
	IntentMemo = "intent"
	StakesMemo = "stakes"
)

// The metrics that orders, and reconciliation for levels, measure, by system: how long a break that was confirmed
// had gone unseen at most, and from the first sight of one until it was over.
const (
	DetectionMetric = "trueup_break_detection"
	RepairMetric    = "trueup_break_repair"
	// LateMetric counts, by system and field, the breaks that were confirmed and had
	// gone unseen for longer than the field's notice_within, as far as anybody knows.
	LateMetric = "trueup_breaks_noticed_late"
)
