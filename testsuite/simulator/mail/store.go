package mail

import (
	"bufio"
	"bytes"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-message/textproto"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// A message that was deleted stays with the moment it went, so that a stale
// read can still see it and its UID is never used again.
const schema = `
CREATE TABLE IF NOT EXISTS messages (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	mailbox    TEXT NOT NULL,
	uid        INTEGER NOT NULL,
	shown      INTEGER NOT NULL, -- nanoseconds: delivered, and its INTERNALDATE
	gone       INTEGER NOT NULL DEFAULT 0,
	order_id   TEXT NOT NULL,
	key        TEXT NOT NULL,
	template   TEXT NOT NULL,
	occasion   INTEGER NOT NULL,
	message_id TEXT NOT NULL,
	subject    TEXT NOT NULL,
	raw        BLOB NOT NULL,
	UNIQUE (mailbox, uid)
);
CREATE INDEX IF NOT EXISTS messages_shown ON messages (mailbox, shown);
CREATE INDEX IF NOT EXISTS messages_order ON messages (order_id);
`

// The headers by which we know our messages.
const (
	headerOrder    = "X-Trueup-Order"
	headerKey      = "X-Trueup-Key"
	headerTemplate = "X-Trueup-Template"
	headerOccasion = "X-Trueup-Occasion"
)

// Message is one message in one mailbox.
type Message struct {
	Mailbox   string    `json:"mailbox"`
	UID       uint32    `json:"uid"`
	MessageID string    `json:"message_id"`
	Order     order.ID  `json:"order,omitempty"`
	Key       string    `json:"key,omitempty"`
	Template  string    `json:"template,omitempty"`
	Occasion  int       `json:"occasion,omitempty"`
	Subject   string    `json:"subject"`
	At        time.Time `json:"at"`
	Raw       string    `json:"-"`
}

// letter is a message on its way, with what its headers say.
type letter struct {
	order                             order.ID
	key, template, messageID, subject string
	occasion                          int
	raw                               []byte
}

func parseLetter(raw []byte) letter {
	l := letter{raw: raw}
	h, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return l // a provider delivers what it cannot read
	}
	m := mail.Header{Header: message.Header{Header: h}}
	l.order, l.key = order.ID(m.Get(headerOrder)), m.Get(headerKey)
	l.template = m.Get(headerTemplate)
	l.occasion, _ = strconv.Atoi(m.Get(headerOccasion))
	l.messageID = m.Get("Message-Id")
	l.subject, _ = m.Subject()
	return l
}

func (s *Server) insert(tx *sql.Tx, mailbox string, l letter, shown time.Time) error {
	_, err := tx.Exec(`INSERT INTO messages (mailbox, uid, shown, order_id, key, template, occasion, message_id, subject, raw)
		VALUES (?1, (SELECT coalesce(max(uid), 0) + 1 FROM messages WHERE mailbox = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
		strings.ToLower(mailbox), shown.UnixNano(), l.order, l.key, l.template, l.occasion, l.messageID, l.subject, l.raw)
	if err != nil {
		return fmt.Errorf("put a message into %s: %w", mailbox, err)
	}
	return nil
}

// deliver has the effect of one accepted transaction: a copy for each
// recipient, and one line in the ledger.
func (s *Server) deliver(to []string, l letter, kind simulator.FaultKind) error {
	return s.update(func(tx *sql.Tx) error {
		now := s.frame.Now()
		for _, mailbox := range to {
			shown := now
			if s.isJournal(mailbox) {
				if kind == simulator.Partial {
					continue
				}
				shown = now.Add(s.searchLag())
			}
			if kind == simulator.Vanishes {
				continue
			}
			if err := s.insert(tx, mailbox, l, shown); err != nil {
				return err
			}
		}
		e := simulator.Entry{
			Kind: simulator.EntryEffect, Operation: order.Send, Order: l.order, Key: l.key,
			Record: l.messageID, Fault: kind, Detail: l.template,
		}
		if err := s.frame.Append(tx, e); err != nil || kind != simulator.Vanishes {
			return err
		}
		e.Kind, e.Detail = simulator.EntryEdit, "accepted, then gone: "+l.template
		return s.frame.Append(tx, e)
	})
}

func (s *Server) isJournal(mailbox string) bool {
	return strings.EqualFold(mailbox, s.settings.Journal)
}

// stored is a message of the journal as a session sees it. What our headers
// say stands beside it in lower case, because every look-up asks for that.
type stored struct {
	uid         uint32
	shown, gone int64 // nanoseconds
	size        int64
	order       order.ID
	// The headers, in lower case.
	lowerOrder, key, template string
}

// at is its INTERNALDATE: whole seconds, in the server's zone.
func (m stored) at(zone *time.Location) time.Time {
	return time.Unix(0, m.shown).In(zone).Truncate(time.Second)
}

// header returns one of our headers, and whether it is one.
func (m stored) header(lower string) (string, bool) {
	switch lower {
	case lowerHeaderOrder:
		return m.lowerOrder, true
	case lowerHeaderKey:
		return m.key, true
	case lowerHeaderTemplate:
		return m.template, true
	}
	return "", false
}

// The headers' names, as they are compared.
var (
	lowerHeaderOrder    = strings.ToLower(headerOrder)
	lowerHeaderKey      = strings.ToLower(headerKey)
	lowerHeaderTemplate = strings.ToLower(headerTemplate)
)

// raw returns the text of a message in the journal.
func (s *Server) raw(uid uint32) ([]byte, error) {
	all, err := s.raws([]uint32{uid})
	return all[uid], err
}

// raws returns several messages of the journal, each by its UID; all of them are there,
// for one that was deleted stays with the moment it went.
func (s *Server) raws(uids []uint32) (map[uint32][]byte, error) {
	args := []any{s.settings.Journal}
	for _, uid := range uids {
		args = append(args, uid)
	}
	all := make(map[uint32][]byte, len(uids))
	err := s.frame.View(func(tx *sql.Tx) error {
		rows, err := tx.Query(`SELECT uid, raw FROM messages WHERE mailbox = ? AND uid IN (`+strings.TrimSuffix(strings.Repeat("?,", len(uids)), ",")+`)`, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var uid uint32
			var raw []byte
			if err := rows.Scan(&uid, &raw); err != nil {
				return err
			}
			all[uid] = raw
		}
		if err := rows.Err(); err != nil || len(all) == len(uids) {
			return err
		}
		return fmt.Errorf("of %d messages of the journal %d are there", len(uids), len(all))
	})
	return all, err
}

// nextUID returns the UID that the journal's next message gets.
func (s *Server) nextUID() (uint32, error) {
	var next uint32
	err := s.frame.View(func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT coalesce(max(uid), 0) + 1 FROM messages WHERE mailbox = ?`, s.settings.Journal).Scan(&next)
	})
	return next, err
}

// Messages returns what lies in the mailboxes, those of one order unless it is
// empty. A message that the journal will only show later is among them.
func (s *Server) Messages(of order.ID) ([]Message, error) {
	messages := []Message{}
	err := s.frame.View(func(tx *sql.Tx) error {
		rows, err := tx.Query(`SELECT mailbox, uid, shown, order_id, key, template, occasion, message_id, subject, raw FROM messages
			WHERE gone = 0 AND (?1 = '' OR order_id = ?1) ORDER BY mailbox, uid`, of)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var m Message
			var shown int64
			if err := rows.Scan(&m.Mailbox, &m.UID, &shown, &m.Order, &m.Key, &m.Template, &m.Occasion, &m.MessageID, &m.Subject, &m.Raw); err != nil {
				return err
			}
			m.At = time.Unix(0, shown).UTC()
			messages = append(messages, m)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the mailboxes of the simulated mail provider: %w", err)
	}
	return messages, nil
}
