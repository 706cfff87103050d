package starters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// A wish is what somebody asks of an order. Its id, Asked.ID, names it: the same
// wish again gets the same answer, and nothing is done twice. Without one it is
// named by its content, so that two equal returns, or the same card tried once
// more, need ids of their own. A closed order is opened again for it.
//
// What the order's phase does not allow is ErrNotNow, and what no phase would is
// ErrNotValid. A wish that a worker has taken up and not answered in time is
// pending, and not lost; ErrNotAnswered says that nobody took it: ask again.

// Attempt starts another attempt to pay. Its answer has what the customer must
// do, or why it was declined.
func (c *Client) Attempt(ctx context.Context, id order.ID, m workflows.Attempt) (workflows.Reply, error) {
	m.ID = named(m.ID, m)
	return c.ask(ctx, id, wish(workflows.AttemptUpdate, m.ID, m), checkAttempt(m))
}

// Amend changes where the order goes, or takes pieces out of it, while they are
// not packed.
func (c *Client) Amend(ctx context.Context, id order.ID, m workflows.Amend) (workflows.Reply, error) {
	m.ID = named(m.ID, m)
	return c.ask(ctx, id, wish(workflows.AmendUpdate, m.ID, m), checkAmend(m))
}

// Answer answers what the customer was asked. Without an id it is named by the
// question too, for the same choice may answer several, one after the other.
func (c *Client) Answer(ctx context.Context, id order.ID, m workflows.Answer) (workflows.Reply, error) {
	problems := checkAnswer(m)
	if m.ID == "" && len(problems) == 0 {
		v, err := c.Verdict(ctx, id, false)
		if err != nil {
			return workflows.Reply{}, err
		}
		m.ID = named("", []any{m, v.Question})
	}
	return c.ask(ctx, id, wish(workflows.AnswerUpdate, m.ID, m), problems)
}

// Return announces goods that the customer sends back. Their money follows once
// the warehouse has them.
func (c *Client) Return(ctx context.Context, id order.ID, m workflows.Return) (workflows.Reply, error) {
	m.ID = named(m.ID, m)
	return c.ask(ctx, id, wish(workflows.ReturnUpdate, m.ID, m), checkReturn(m))
}

// Refund gives money back because a person decided so.
func (c *Client) Refund(ctx context.Context, id order.ID, m workflows.Refund) (workflows.Reply, error) {
	m.ID = named(m.ID, m)
	return c.ask(ctx, id, wish(workflows.RefundUpdate, m.ID, m), checkRefund(m))
}

// Decide closes a case as a person decided. What it rests on is read in this
// moment, so that the same decision may be refused now and carried out later: its
// message has an id of its own each time, and the order tells repeated ones by
// the wish's.
func (c *Client) Decide(ctx context.Context, id order.ID, m workflows.Decide) (workflows.Reply, error) {
	m.ID = named(m.ID, m)
	message := wish(workflows.DecideUpdate, m.ID, m)
	message.ID = fmt.Sprintf("%s-%d", message.ID, c.Now().UnixNano())
	return c.ask(ctx, id, message, checkDecide(m))
}

// Cases answers with the open cases of an order and their evidence, from memory;
// with all also those that were closed.
func (c *Client) Cases(ctx context.Context, id order.ID, all bool) ([]reconcile.Case, error) {
	var cases []reconcile.Case
	ask := workflows.AskCases{Now: c.Now(), All: all}
	return cases, c.say(id, c.Engine.Query(ctx, workflows.OrderWorkflowID(id), workflows.CasesQuery, ask, &cases))
}

// named returns the id of a wish; of one without, an id made from its content.
func named(id string, content any) string {
	if id != "" {
		return id
	}
	data, err := json.Marshal(content)
	if err != nil { // messages hold nothing that cannot be marshalled
		panic(err)
	}
	return "content-" + digest(string(data))
}

// wish is the message of a wish. The id that the engine tells repeated ones by
// is a digest: what callers choose may be long, or say who they are.
func wish(name, id string, argument any) Message {
	return Message{Name: name, ID: name + "-" + digest(id), Argument: argument}
}

// ask sends a wish unless something is wrong with it.
func (c *Client) ask(ctx context.Context, id order.ID, m Message, problems []order.Problem) (workflows.Reply, error) {
	var reply workflows.Reply
	if len(problems) > 0 {
		return reply, &InvalidError{Problems: problems}
	}
	accepted, err := c.taken(ctx, id, m, &reply)
	if err == nil && accepted && reply.Order == "" {
		return c.pending(ctx, id, m.Name), nil
	}
	return reply, err
}

// acceptance is how long to wait until a worker has accepted a message that was
// not answered in time.
const acceptance = 2 * time.Second

// taken sends an update and waits for its answer. When there is none in time it
// makes sure that a worker has accepted it, which true says: an update that
// nobody has accepted is written down nowhere and must not be called pending.
func (c *Client) taken(ctx context.Context, id order.ID, m Message, answer any) (bool, error) {
	err := c.message(ctx, id, m, answer)
	if !errors.Is(err, ErrNotAnswered) {
		return false, err
	}
	m.Accepted = true
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), acceptance)
	defer cancel()
	return true, c.message(bounded, id, m, answer)
}

// pending is the reply to a wish that is taken up and not answered yet. Where
// the order stands is left out when nobody says so at once.
func (c *Client) pending(ctx context.Context, id order.ID, name string) workflows.Reply {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), acceptance)
	defer cancel()
	reply := workflows.Reply{Order: id, Pending: fmt.Sprintf("the %s is taken up and not answered yet; send the same again, or ask for the verdict", noun(name))}
	if v, err := c.Verdict(bounded, id, false); err == nil {
		reply.Phase, reply.Outcome = v.Phase, v.Outcome
	}
	return reply
}

// noun is what an update is called in a sentence.
func noun(update string) string {
	switch update {
	case workflows.AmendUpdate:
		return "amendment"
	case workflows.DecideUpdate:
		return "decision"
	default:
		return update
	}
}

// Cancel asks to take an order back. It answers when the warehouse has: granted,
// or refused because reality won. Asked again while that is open, it is the same wish
// and the same message: the engine lets only so many of an order be open at a time.
// Once it was refused, or came to nothing, it may be granted by now, and is asked anew,
// once a minute.
// ErrNotAnswered when no worker took it: ask again.
func (c *Client) Cancel(ctx context.Context, id order.ID, wish workflows.Cancel) (workflows.CancelAnswer, error) {
	wish.Call = c.Now().UnixNano()
	name := "cancel-" + digest(wish.By, wish.Reason)
	answer, err := c.cancel(ctx, id, name, wish)
	older := err == nil && answer.Call != wish.Call && answer.Pending == "" && !answer.Cancelled
	if older || cameToNothing(err) {
		answer, err = c.cancelAnew(ctx, id, name+"-"+strconv.FormatInt(wish.Call/int64(time.Minute), 10), wish)
	}
	answer.Call = 0
	return answer, err
}

// cameToNothing says that an update was taken up and ended with an error, which is no
// word of the order: its workflow was cancelled in the engine meanwhile, or a worker has
// made a mistake. The engine gives that answer to its name for ever. What the order says
// are errors of the client by now, and one that was stopped has no other answer.
func cameToNothing(err error) bool {
	_, cancelled := errors.AsType[*temporal.CanceledError](err)
	_, failed := errors.AsType[*temporal.ApplicationError](err)
	return (cancelled || failed) && !errors.Is(err, ErrStopped)
}

// cancelAnew sends a wish once more under another name, unless the order is being taken
// back: nothing is sent either while nobody says so, also to who does not wait, for
// each name is one more update that may stay open.
func (c *Client) cancelAnew(ctx context.Context, id order.ID, name string, wish workflows.Cancel) (workflows.CancelAnswer, error) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), acceptance)
	defer cancel()
	v, err := c.Verdict(bounded, id, false)
	switch {
	case err != nil:
		return workflows.CancelAnswer{}, fmt.Errorf("cancel order %s: whether it is being taken back: %w: %w", id, ErrNotAnswered, err)
	case v.Phase == order.PhaseCancelling:
		return beingCancelled(id), nil
	}
	return c.cancel(ctx, id, name, wish)
}

// cancel sends a wish to cancel under the name of its message.
func (c *Client) cancel(ctx context.Context, id order.ID, name string, wish workflows.Cancel) (workflows.CancelAnswer, error) {
	var answer workflows.CancelAnswer
	accepted, err := c.taken(ctx, id, Message{Name: workflows.CancelUpdate, ID: name, Argument: wish}, &answer)
	if err == nil && accepted && answer.Order == "" {
		return beingCancelled(id), nil
	}
	return answer, err
}

// beingCancelled is the answer to a wish that is taken up and not decided yet.
func beingCancelled(id order.ID) workflows.CancelAnswer {
	return workflows.CancelAnswer{Order: id, Outcome: reconcile.InProgress, Pending: "the warehouse has not answered yet; ask for the verdict"}
}

// WhatIsAsked says what the customer was asked, and until when.
func WhatIsAsked(q workflows.Question) string {
	text := "the customer is asked what to do about what is not available"
	if q.Kind == workflows.AskAboutPayment {
		text = "the customer is asked what to do about what is not paid for any more"
	}
	var pieces []string
	for _, l := range q.Lines {
		pieces = append(pieces, fmt.Sprintf("%d × %s", l.Quantity, l.SKU))
	}
	if len(pieces) > 0 {
		text += " (" + strings.Join(pieces, ", ") + ")"
	}
	if q.Kind == workflows.AskAboutPayment {
		return text + ": an attempt to pay, amend or cancel" + Until(q.Deadline)
	}
	return text + ", amend, wait or cancel" + Until(q.Deadline)
}

// Until says until when, or nothing when there is no such moment.
func Until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", until " + t.UTC().Format(time.RFC3339)
}
