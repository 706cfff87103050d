package order

import (
	"fmt"
	"strconv"
	"strings"
)

// ID names an order: [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
type ID string

// ParseID returns s as an ID, or an error that says what an ID may contain.
func ParseID(s string) (ID, error) {
	if s == "" {
		return "", fmt.Errorf("is empty; want 1 to 64 of A-Z a-z 0-9 . _ - starting with a letter or digit")
	}
	if len(s) > 64 {
		return "", fmt.Errorf("has %d characters; at most 64 are allowed", len(s))
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return "", fmt.Errorf("has %q at position %d; want 1 to 64 of A-Z a-z 0-9 . _ - starting with a letter or digit", c, i+1)
		}
	}
	return ID(s), nil
}

// Operation names what an intent does to a system. The word is unique over all
// systems, so that an intent is named by its order, operation and number alone.
type Operation string

// The operations of an order's life.
const (
	Authorize     Operation = "authorize"
	Capture       Operation = "capture"
	Void          Operation = "void"
	Refund        Operation = "refund"
	Reserve       Operation = "reserve"
	Release       Operation = "release"
	Commit        Operation = "commit"
	Adjust        Operation = "adjust"
	Request       Operation = "request"
	UpdateAddress Operation = "update"
	Return        Operation = "return"
	Cancel        Operation = "cancel"
	Record        Operation = "record"
	Invoice       Operation = "invoice"
	Receipt       Operation = "receipt"
	Credit        Operation = "credit"
	Upsert        Operation = "upsert"
	Send          Operation = "send"
)

// Operations returns all of them, in the order of an order's life.
func Operations() []Operation {
	return []Operation{
		Authorize, Capture, Void, Refund, Reserve, Release, Commit, Adjust, Request, UpdateAddress, Return, Cancel, Record, Invoice, Receipt, Credit, Upsert, Send,
	}
}

// Intent is one thing we mean to do, once. N counts the intents of one
// operation of one order from 1: two equal returns are two intents.
type Intent struct {
	Order     ID        `json:"order"`
	Operation Operation `json:"operation"`
	N         int       `json:"n"`
}

// Key returns the idempotency key of the intent: order/<id>/<operation>/<n>.
// It names the intent and never an attempt, a run or a moment, so that a reset
// or rebuilt order sends the same key. Ids cannot contain a slash, so different
// intents have different keys.
func (i Intent) Key() string {
	return "order/" + string(i.Order) + "/" + string(i.Operation) + "/" + strconv.Itoa(i.N)
}

// ParseKey returns the intent that a key names, and whether it is one of ours.
func ParseKey(key string) (Intent, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != "order" {
		return Intent{}, false
	}
	id, err := ParseID(parts[1])
	if err != nil {
		return Intent{}, false
	}
	n, err := strconv.Atoi(parts[3])
	if err != nil || n < 1 || strconv.Itoa(n) != parts[3] {
		return Intent{}, false
	}
	return Intent{Order: id, Operation: Operation(parts[2]), N: n}, true
}
