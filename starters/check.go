package starters

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// InvalidError says what is wrong with a wish that would be refused in any
// phase; nothing was done. It is an ErrNotValid.
type InvalidError struct {
	Problems []order.Problem
	text     string // the workflow's, when it has no problems to name
}

func (e *InvalidError) Error() string {
	if len(e.Problems) == 0 {
		return ErrNotValid.Error() + ": " + e.text
	}
	all := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		all = append(all, p.Field+" "+p.Reason)
	}
	return ErrNotValid.Error() + ": " + strings.Join(all, "; ")
}

func (e *InvalidError) Unwrap() error { return ErrNotValid }

// invalidWish is what a workflow says is wrong; its details may name the fields.
func invalidWish(a *temporal.ApplicationError) error {
	e := &InvalidError{text: a.Message()}
	if a.HasDetails() && a.Details(&e.Problems) != nil {
		e.Problems = nil // they cannot be read; the text says it too
	}
	return e
}

// CheckAsked names what is wrong with who asks for something, and why.
func CheckAsked(by, reason string) []order.Problem {
	return append(checkText("by", by, true), checkText("reason", reason, true)...)
}

func checkText(field, value string, required bool) []order.Problem {
	switch {
	case required && strings.TrimSpace(value) == "":
		return []order.Problem{{Field: field, Reason: "is missing"}}
	case utf8.RuneCountInString(value) > order.MaxText || strings.ContainsFunc(value, unicode.IsControl) || !utf8.ValidString(value):
		return []order.Problem{{Field: field, Reason: "has more than 200 characters, or a control character"}}
	}
	return nil
}

// checkWish is what all wishes have in common. A customer who pays or answers
// needs no reason.
func checkWish(a workflows.Asked, reason bool) []order.Problem {
	return slices.Concat(checkText("id", a.ID, false), checkText("by", a.By, true), checkText("reason", a.Reason, reason))
}

func checkAttempt(m workflows.Attempt) []order.Problem {
	return append(checkWish(m.Asked, false), order.CheckPayment(m.Payment)...)
}

// The pieces of an amendment or a return are checked by the order's workflow,
// for only it knows the order.
func checkAmend(m workflows.Amend) []order.Problem {
	problems := checkWish(m.Asked, true)
	if (m.ShipTo == nil) == (len(m.Drop) == 0) {
		problems = append(problems, order.Problem{Field: "drop", Reason: "or ship_to is wanted, one of them at a time"})
	}
	if m.ShipTo != nil {
		problems = append(problems, order.CheckAddress("ship_to", *m.ShipTo)...)
	}
	return problems
}

func checkReturn(m workflows.Return) []order.Problem {
	problems := checkWish(m.Asked, true)
	if len(m.Lines) == 0 {
		problems = append(problems, order.Problem{Field: "lines", Reason: "is missing; name the pieces that come back"})
	}
	return problems
}

func checkAnswer(m workflows.Answer) []order.Problem {
	problems := checkWish(m.Asked, false)
	if choices := Choices(); !slices.Contains(choices, m.Choice) {
		problems = append(problems, order.Problem{Field: "choice", Reason: fmt.Sprintf("is %q; want one of %v", m.Choice, choices)})
	}
	return problems
}

func checkRefund(m workflows.Refund) []order.Problem {
	problems := append(checkWish(m.Asked, true), checkAmount(m.Amount)...)
	if _, known := m.Currency.Decimals(); m.Currency != "" && !known {
		problems = append(problems, order.Problem{Field: "currency", Reason: fmt.Sprintf("%q is not a currency that we take (ISO 4217, capitals)", m.Currency)})
	}
	return problems
}

func checkDecide(m workflows.Decide) []order.Problem {
	problems := append(checkWish(m.Asked, true), checkAmount(m.Amount)...)
	if m.Case < 1 {
		problems = append(problems, order.Problem{Field: "case", Reason: "is missing, or less than 1"})
	}
	problems = append(problems, checkEvidence(m.Evidence, "trueup cases")...)
	switch decisions := Decisions(); {
	case !slices.Contains(decisions, m.As):
		problems = append(problems, order.Problem{Field: "as", Reason: fmt.Sprintf("is %q; want one of %v", m.As, decisions)})
	case m.Amount > 0 && m.As != workflows.DecideRefund:
		problems = append(problems, order.Problem{Field: "amount", Reason: "belongs to a refund alone"})
	}
	return problems
}

// checkEvidence refuses what is no token of evidence, as a command shows them.
func checkEvidence(token, shows string) []order.Problem {
	if len(token) > maxEvidence || strings.ContainsFunc(token, func(r rune) bool { return r < '!' || r > '~' }) {
		return []order.Problem{{Field: "evidence", Reason: "is not the token of a case's evidence; " + shows + " shows it"}}
	}
	return nil
}

// maxEvidence is more than the token of a case's evidence has.
const maxEvidence = 64

// checkAmount refuses an amount that no order can have.
func checkAmount(minor int64) []order.Problem {
	if minor < 0 || minor > order.MaxMoney {
		return []order.Problem{{Field: "amount", Reason: fmt.Sprintf("is not 1 to %d minor units; leave it out for all that is left", int64(order.MaxMoney))}}
	}
	return nil
}

// Choices are the answers to a question.
func Choices() []workflows.Choice {
	return []workflows.Choice{workflows.ChooseAmend, workflows.ChooseWait, workflows.ChooseCancel}
}

// Decisions are what a person may decide about a case.
func Decisions() []workflows.Decision {
	return []workflows.Decision{
		workflows.DecideRepair, workflows.DecideAccept, workflows.DecideRefund, workflows.DecideShip,
		workflows.DecideRelease, workflows.DecideCancel, workflows.DecideByHand,
	}
}
