// Package workflows holds the durable processes: an order's life (Order), the
// level of one SKU (Stock), what came before its order (Inbox), the keeper of
// reconciliation's state (Reconciliation) and one run of it (Reconcile).
//
// Workflow code is deterministic, sorted and free of interfaces. Its input,
// names and messages are durable contracts: see names.go and versions.go before
// you change one.
package workflows

import (
	"strings"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
)

// The task queues: one for workflows, one for each system, so that one system
// being slow or stopped never holds up another, and one for the activities that
// reconciliation runs.
const (
	Queue               = "trueup"
	ReconciliationQueue = "trueup-reconciliation"
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
)

// The workflow ids.
const (
	ReconciliationID = "reconciliation"
	ScheduleID       = "reconcile"
	orderPrefix      = "order/"
	stockPrefix      = "stock/"
	inboxPrefix      = "inbox/"
)

// OrderWorkflowID is the workflow of an order: the only writer of its records.
func OrderWorkflowID(id order.ID) string { return orderPrefix + string(id) }

// StockWorkflowID is the workflow of a SKU: the only writer of its level.
func StockWorkflowID(sku string) string { return stockPrefix + sku }

// InboxWorkflowID is where what concerns a record waits for its order.
func InboxWorkflowID(s order.System, record string) string {
	return inboxPrefix + string(s) + "/" + record
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
	OrderSignal     = "order"
)

// The search attributes (D15), upserted together.
var (
	OutcomeAttribute   = temporal.NewSearchAttributeKeyKeyword("OrderOutcome")
	AgreementAttribute = temporal.NewSearchAttributeKeyKeyword("OrderAgreement")
	BreaksAttribute    = temporal.NewSearchAttributeKeyKeywordList("OrderBreaks")
	OldestAttribute    = temporal.NewSearchAttributeKeyTime("OrderOldestBreak")
	ChangedAttribute   = temporal.NewSearchAttributeKeyTime("OrderChanged")
)

// IntentMemo is the memo field that carries an order's intent.
const IntentMemo = "intent"
