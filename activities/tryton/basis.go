package tryton

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// A write is built on what was read before it: the company, a journal, a product,
// an address. When Tryton refuses the write for good, that may be because one of
// those readings was not an answer, but somebody else's record. So a refusal is
// believed only when what it rests on still reads the same.

// reading is an answer that writes are built on.
type reading struct {
	name string
	call Call
	kind reflect.Type
	said []byte
}

// basis remembers what is built on: the latest answer to each question.
func (c *Client) basis(call Call, into any) {
	said, err := json.Marshal(into)
	name, bad := json.Marshal([]any{call.Model, call.Method, call.Args, call.Context})
	if err != nil || bad != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := reading{name: string(name), call: call, kind: reflect.TypeOf(into).Elem(), said: said}
	c.read = slices.DeleteFunc(c.read, func(x reading) bool { return x.name == r.name })
	if c.read = append(c.read, r); len(c.read) > mostReadings {
		c.read = c.read[1:]
	}
}

// mostReadings is how many answers are remembered. The settings are two dozen;
// the rest are the goods and addresses of the last orders.
const mostReadings = 200

// Believe returns an error of a write as it is, unless it is a refusal for good
// and something that writes are built on reads otherwise now: then forget is
// called, what was remembered is forgotten, and the error says to try again.
func (s Session) Believe(ctx context.Context, err error, forget func()) error {
	if code := apierr.CodeOf(err); err == nil || code != apierr.Declined && code != apierr.Invalid {
		return err
	}
	s.Client.mu.Lock()
	readings := slices.Clone(s.Client.read)
	s.Client.mu.Unlock()
	for _, r := range readings {
		again := reflect.New(r.kind)
		call := r.call
		call.Operation = s.Operation
		if failed := s.Client.Do(ctx, call, again.Interface()); failed != nil {
			return fmt.Errorf("read again what a refused call was built on: %w", failed)
		}
		said, bad := json.Marshal(again.Interface())
		if bad != nil || stands(r.said, said) {
			continue
		}
		s.Client.mu.Lock()
		s.Client.read, s.Client.known = nil, map[string]int64{}
		s.Client.mu.Unlock()
		forget()
		return apierr.New(apierr.Unavailable, "misread",
			fmt.Errorf("%s reads otherwise now, and is read anew: %w", r.call.Model, errors.New(err.Error())))
	}
	return err
}

// stands says that every record that was read before is read now as well; more
// may have come.
func stands(before, now []byte) bool {
	var old, found []json.RawMessage
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(now, &found) != nil {
		return true
	}
	for _, o := range old {
		if !slices.ContainsFunc(found, func(f json.RawMessage) bool { return bytes.Equal(o, f) }) {
			return false
		}
	}
	return true
}

// MakeAddress makes an address and returns its id, once it is there: an answer
// with the id of somebody else's is none.
func (s Session) MakeAddress(ctx context.Context, values map[string]any) (int64, error) {
	made, err := s.Create(ctx, "party.address", values)
	if err != nil {
		return 0, fmt.Errorf("make the address: %w", err)
	}
	var found []struct {
		ID    int64 `json:"id"`
		Party int64 `json:"party"`
	}
	if err := s.Find(ctx, Query{Model: "party.address", Where: Domain{[]any{"id", "=", made}}, Fields: []string{"party"}}, &found); err != nil {
		return 0, err
	}
	if party, _ := values["party"].(int64); len(found) != 1 || found[0].ID != made || found[0].Party != party {
		return 0, apierr.New(apierr.Unavailable, "", errors.New("the address that was just made is not there"))
	}
	return made, nil
}
