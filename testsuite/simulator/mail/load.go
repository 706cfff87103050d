package mail

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Loaded is a message that was delivered to the journal at a moment.
type Loaded struct {
	Raw []byte
	At  time.Time
}

// Load writes messages as they would lie in the journal had they been sent at
// their times, in the order in which they came. Customers' own mailboxes are
// elsewhere. Nobody called, so the ledger has nothing of it.
func (s *Server) Load(all []Loaded) error {
	return s.update(func(tx *sql.Tx) error {
		put, err := tx.Prepare(`INSERT INTO messages (mailbox, uid, shown, order_id, key, template, occasion, message_id, subject, raw)
			VALUES (?,?,?,?,?,?,?,?,?,?)`)
		if err != nil {
			return err
		}
		mailbox := strings.ToLower(s.settings.Journal)
		var uid int64
		if err := tx.QueryRow(`SELECT coalesce(max(uid), 0) FROM messages WHERE mailbox = ?`, mailbox).Scan(&uid); err != nil {
			return err
		}
		for _, m := range all {
			uid++
			l := parseLetter(m.Raw)
			if _, err := put.Exec(mailbox, uid, m.At.UnixNano(), l.order, l.key, l.template, l.occasion, l.messageID, l.subject, l.raw); err != nil {
				return fmt.Errorf("load a message: %w", err)
			}
		}
		return nil
	})
}
