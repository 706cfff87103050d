package tryton

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// Session makes the calls of one operation.
type Session struct {
	Client    *Client
	Operation string

	basis *basis // what its writes are built on, beside the settings: see basis.go
}

// For returns a session that names the operation in every request.
func (c *Client) For(operation string) Session {
	return Session{Client: c, Operation: operation, basis: &basis{}}
}

// Domain is Tryton's form of a condition: clauses that must all hold; one that
// starts with "OR" holds when any of its clauses does.
type Domain []any

// Query asks for records of one model, in the order of their ids.
type Query struct {
	Model   string
	Where   Domain
	Fields  []string
	Limit   int            // 0: all
	Order   []any          // nil: by id
	Context map[string]any // beside the preferences
	// Basis is of what writes are built on: see basis.go.
	Basis bool
	// Certain is a Basis that must be there. It is asked for once more when nothing
	// is found, for one list that is empty for once proves nothing, and what a wrong
	// setting lacks ends an order's way.
	Certain bool
}

// Find reads the records that a query finds into into, a pointer to a slice.
func (s Session) Find(ctx context.Context, q Query, into any) error {
	call := s.searchRead(q)
	err := s.Client.Do(ctx, call, into)
	if err == nil && q.Certain && reflect.ValueOf(into).Elem().Len() == 0 {
		err = s.Client.Do(ctx, call, into)
	}
	if err == nil && (q.Basis || q.Certain) {
		s.basis.add(readingOf(call, into))
	}
	return err
}

func (s Session) searchRead(q Query) Call {
	var limit any
	if q.Limit > 0 {
		limit = q.Limit
	}
	by := q.Order
	if by == nil {
		by = []any{[]string{"id", "ASC"}}
	}
	where := q.Where
	if where == nil {
		where = Domain{}
	}
	return Call{
		Operation: s.Operation, Model: q.Model, Method: "search_read",
		Args: []any{where, 0, limit, by, q.Fields}, Context: q.Context, Large: true,
	}
}

// IDByCode returns the id of the country, the currency or whatever else of the
// database's settings has a code, and 0 when there is none. What was found is
// remembered, for these ids do not change and every document needs them.
func (s Session) IDByCode(ctx context.Context, model, code string) (int64, error) {
	name := model + " " + code
	if k, found := s.Client.remembered(name); found {
		s.basis.add(k.reading)
		return k.id, nil
	}
	var found []struct {
		ID   int64  `json:"id"`
		Code string `json:"code"`
	}
	q := Query{Model: model, Where: Domain{[]any{"code", "=", code}}, Fields: []string{"code"}, Certain: true}
	err := s.Find(ctx, q, &found)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	// A wrong answer would be remembered for good.
	if found[0].Code != code || found[0].ID <= 0 {
		return 0, Nonsense("another %s than the one asked for", model)
	}
	s.Client.remember(name, known{id: found[0].ID, reading: readingOf(s.searchRead(q), &found)})
	return found[0].ID, nil
}

// Create makes one record and returns its id.
func (s Session) Create(ctx context.Context, model string, values map[string]any) (int64, error) {
	var ids []int64
	err := s.Client.Do(ctx, Call{
		Operation: s.Operation, Model: model, Method: "create", Args: []any{[]any{values}}, Write: true,
	}, &ids)
	if err != nil {
		return 0, err
	}
	if len(ids) != 1 || ids[0] <= 0 {
		return 0, apierr.New(apierr.InDoubt, "", fmt.Errorf("model.%s.create: the answer is not one id", model))
	}
	return ids[0], nil
}

// Record names one record, and the version of it that a write expects; an empty
// version writes whatever it is.
type Record struct {
	Model   string
	ID      int64
	Version string // the field _timestamp
}

// Write changes fields of one record.
func (s Session) Write(ctx context.Context, r Record, values map[string]any) error {
	return s.act(ctx, r, "write", values)
}

// Delete removes one record.
func (s Session) Delete(ctx context.Context, r Record) error { return s.act(ctx, r, "delete") }

// Press presses a button of one record. From a state that does not allow it
// this is a silent no-op, so the caller reads back.
func (s Session) Press(ctx context.Context, r Record, button string) error {
	return s.act(ctx, r, button)
}

func (s Session) act(ctx context.Context, r Record, method string, more ...any) error {
	var callContext map[string]any
	if r.Version != "" {
		callContext = map[string]any{"_timestamp": map[string]string{fmt.Sprintf("%s,%d", r.Model, r.ID): r.Version}}
	}
	return s.Client.Do(ctx, Call{
		Operation: s.Operation, Model: r.Model, Method: method, Args: append([]any{[]int64{r.ID}}, more...),
		Context: callContext, Write: true,
	}, nil)
}

// PressAnyway presses a button, and says yes once when Tryton asks a question
// whose name matches known. Any other question is an error.
func (s Session) PressAnyway(ctx context.Context, r Record, button string, known *regexp.Regexp) error {
	err := s.Press(ctx, r, button)
	w, asked := errors.AsType[*Warning](err)
	if !asked || !known.MatchString(w.Name) {
		return err
	}
	_, err = s.Create(ctx, "res.user.warning", map[string]any{
		"user": s.Client.User(), "name": w.Name, "always": false,
	})
	if err != nil {
		return fmt.Errorf("answer the question %s: %w", w.Name, err)
	}
	return s.Press(ctx, r, button)
}

// AfterEffect turns an error of a read-back into one of the write before it:
// the effect has happened, so nothing may be called without effect any more.
func AfterEffect(err error) error {
	switch apierr.CodeOf(err) {
	case apierr.Conflict, apierr.InDoubt:
		return err
	case apierr.Unavailable, apierr.RateLimited, apierr.Declined, apierr.Invalid,
		apierr.Unauthorized, apierr.NotFound, apierr.Garbage:
	}
	return apierr.New(apierr.InDoubt, apierr.ReasonOf(err), fmt.Errorf("read back: %w", err))
}
