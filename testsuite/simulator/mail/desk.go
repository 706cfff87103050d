package mail

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// State returns the messages in every mailbox.
func (s *Server) State(of order.ID) (any, error) { return s.Messages(of) }

// Change is what a person does to a mailbox, or another program that sends
// mail.
type Change struct {
	// Do is "put" or "delete".
	Do string `json:"do"`
	// Mailbox is an address; default the journal's.
	Mailbox string `json:"mailbox,omitempty"`
	// UID or MessageID or Order choose what to delete, all that match; Template
	// narrows it.
	UID uint32 `json:"uid,omitempty"`
	// The rest is the message to put. Without Key it is none of ours, and
	// without From it comes from a stranger.
	MessageID string   `json:"message_id,omitempty"`
	Order     order.ID `json:"order,omitempty"`
	Key       string   `json:"key,omitempty"`
	Template  string   `json:"template,omitempty"`
	Occasion  int      `json:"occasion,omitempty"`
	From      string   `json:"from,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	// Raw is a whole message instead.
	Raw string `json:"raw,omitempty"`
	// Age is how long ago it was delivered, as "30h".
	Age string `json:"age,omitempty"`
}

// Edit changes a mailbox by hand: see Change.
func (s *Server) Edit(edit json.RawMessage) error {
	var c Change
	d := json.NewDecoder(bytes.NewReader(edit))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return fmt.Errorf("edit mail: %w", err)
	}
	return s.Change(c)
}

// Event lets a message appear that another program sent; its fields are those
// of Change, and it is put.
func (s *Server) Event(event json.RawMessage) error {
	var c Change
	d := json.NewDecoder(bytes.NewReader(event))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return fmt.Errorf("mail event: %w", err)
	}
	if c.Do == "" {
		c.Do = "put"
	}
	return s.Change(c)
}

// Change puts or deletes messages.
func (s *Server) Change(c Change) error {
	if c.Mailbox == "" {
		c.Mailbox = s.settings.Journal
	}
	c.Mailbox = strings.ToLower(c.Mailbox)
	switch c.Do {
	case "put":
		return s.put(c)
	case "delete":
		return s.remove(c)
	}
	return fmt.Errorf("edit mail: do is %q; want \"put\" or \"delete\"", c.Do)
}

func (s *Server) put(c Change) error {
	at := s.frame.Now()
	if c.Age != "" {
		age, err := time.ParseDuration(c.Age)
		if err != nil {
			return fmt.Errorf("edit mail: age: %w", err)
		}
		at = at.Add(-age)
	}
	raw := []byte(c.Raw)
	if c.Raw == "" {
		raw = c.compose(at)
	}
	l := parseLetter(raw)
	return s.update(func(tx *sql.Tx) error {
		if err := s.insert(tx, c.Mailbox, l, at); err != nil {
			return err
		}
		return s.frame.Append(tx, simulator.Entry{
			Kind: simulator.EntryEdit, Operation: "put", Order: l.order, Key: l.key, Record: l.messageID,
			Detail: "put by hand: " + l.template,
		})
	})
}

func (c Change) compose(at time.Time) []byte {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	from, subject, id := c.From, c.Subject, c.MessageID
	if from == "" {
		from = "someone@elsewhere.test"
	}
	if subject == "" {
		subject = "A message"
	}
	if id == "" {
		id = "<by-hand." + strconv.FormatInt(at.UnixNano(), 36) + "@elsewhere.test>"
	}
	field("Message-ID", id)
	field("Date", at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	field("From", from)
	field("To", c.Mailbox)
	field("Subject", subject)
	field(headerOrder, string(c.Order))
	field(headerKey, c.Key)
	field(headerTemplate, c.Template)
	if c.Occasion > 0 {
		field(headerOccasion, strconv.Itoa(c.Occasion))
	}
	b.WriteString("\r\nWritten by hand.\r\n")
	return []byte(b.String())
}

func (s *Server) remove(c Change) error {
	if c.UID == 0 && c.MessageID == "" && c.Order == "" {
		return fmt.Errorf("edit mail: delete needs a uid, a message_id or an order")
	}
	return s.update(func(tx *sql.Tx) error {
		done, err := tx.Exec(`UPDATE messages SET gone = ?1 WHERE gone = 0 AND mailbox = ?2 AND (?3 = 0 OR uid = ?3)
			AND (?4 = '' OR message_id = ?4) AND (?5 = '' OR order_id = ?5) AND (?6 = '' OR template = ?6)`,
			s.frame.Now().UnixNano(), c.Mailbox, c.UID, c.MessageID, c.Order, c.Template)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		if n == 0 {
			return simulator.ErrNoRecord
		}
		s.index = journalIndex{} // to be read again
		return s.frame.Append(tx, simulator.Entry{
			Kind: simulator.EntryEdit, Operation: "delete", Order: c.Order, Record: c.MessageID, Amount: n,
			Detail: "deleted by hand from " + c.Mailbox + ": " + c.Template,
		})
	})
}
