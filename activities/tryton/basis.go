package tryton

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// A write is built on what was read before it: the company, a journal, a product,
// an address. When Tryton refuses the write for good, that may be because one of
// those readings was not an answer, but somebody else's record. So a refusal is
// believed only when what it rests on still reads the same: what its own operation
// has read, and the settings, which one operation reads for all. What others rest on
// is of no concern to it, and in a busy process would take longer than the call has.

// reading is an answer that writes are built on.
type reading struct {
	name string
	call Call
	kind reflect.Type
	said []byte
}

// basis is the latest answer to each question.
type basis struct {
	mu   sync.Mutex
	read []reading
}

func (b *basis) add(r reading) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = append(slices.DeleteFunc(b.read, func(x reading) bool { return x.name == r.name }), r)
}

func (b *basis) all() []reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.read)
}

func (b *basis) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = nil
}

func readingOf(call Call, into any) reading {
	said, err := json.Marshal(into)
	name, bad := json.Marshal([]any{call.Model, call.Method, call.Args, call.Context})
	if err := errors.Join(err, bad); err != nil { // both have just travelled as JSON
		panic(err)
	}
	return reading{name: string(name), call: call, kind: reflect.TypeOf(into).Elem(), said: said}
}

// Settings returns a session of which all later operations rest on what it reads,
// for it is read once and remembered.
func (s Session) Settings() Session {
	s.basis = &s.Client.settings
	return s
}

// inTime is how long before the end of a call a refusal is no longer doubted: it
// must still be told.
const inTime = 2 * time.Second

// Believe returns an error of a write as it is, unless it is a refusal for good
// and something that it is built on reads otherwise now: then forget is called,
// what was remembered is forgotten, and the error says to try again. A refusal for
// which no time is left is believed: the call would only be made again, for ever.
func (s Session) Believe(ctx context.Context, err error, forget func()) error {
	if code := apierr.CodeOf(err); err == nil || code != apierr.Declined && code != apierr.Invalid {
		return err
	}
	before, cancel := ctx, func() {}
	if end, limited := ctx.Deadline(); limited {
		before, cancel = context.WithDeadline(ctx, end.Add(-inTime))
	}
	defer cancel()
	for _, r := range slices.Concat(s.Client.settings.all(), s.basis.all()) {
		again := reflect.New(r.kind)
		call := r.call
		call.Operation = s.Operation
		switch failed := s.Client.Do(before, call, again.Interface()); {
		case failed != nil && before.Err() != nil && ctx.Err() == nil:
			return err
		case failed != nil:
			return fmt.Errorf("read again what a refused call was built on: %w", failed)
		}
		said, bad := json.Marshal(again.Interface())
		if bad != nil || stands(r.said, said) {
			continue
		}
		s.Client.forgetRead()
		s.basis.forget()
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
