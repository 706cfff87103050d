package mail

import (
	"bufio"
	"bytes"
	"cmp"
	"database/sql"
	"io"
	"iter"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"

	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// uidValidity never changes: UIDs live as long as the database.
const uidValidity = 1

// IMAPConn serves one connection and returns when it is closed.
func (s *Server) IMAPConn(c net.Conn) {
	l := listenTo(c)
	if !s.track(l) {
		return
	}
	defer s.forget(l)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(gc *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &reading{server: s, conn: gc, raw: l}, &imapserver.GreetingData{}, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
		Logger:       quiet{},
		TLSConfig:    s.tls,
		InsecureAuth: true, // a pipe inside a universe has no TLS
	})
	_ = server.Serve(l) // ends with the connection
}

// reading is one IMAP session. It sees the journal as of its SELECT, its last
// SEARCH or its last poll: sequence numbers never change under a client.
type reading struct {
	server *Server
	conn   *imapserver.Conn
	raw    *only // below TLS
	all    []stored
	known  int // messages that the client was told of
	inside bool
}

func refusal(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

var errReadOnly = refusal(imap.ResponseCodeCannot, "The journal is read-only")

// Login opens the journal with its one user.
func (x *reading) Login(user, password string) error {
	if user != x.server.settings.IMAPUser || password != x.server.settings.IMAPPassword {
		return imapserver.ErrAuthFailed
	}
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	if x.server.logins >= x.server.settings.MaxLogins {
		return refusal(imap.ResponseCodeLimit, "Maximum number of connections from user+IP exceeded")
	}
	x.server.logins++
	x.inside = true
	return nil
}

// Close ends the session.
func (x *reading) Close() error {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	if x.inside {
		x.server.logins--
		x.inside = false
	}
	return nil
}

// Select opens INBOX, which is the journal.
func (x *reading) Select(mailbox string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	if !strings.EqualFold(mailbox, "INBOX") {
		return nil, refusal("", "Mailbox doesn't exist")
	}
	all, err := x.server.journalAsOf(x.server.frame.Now())
	if err != nil {
		return nil, err
	}
	next, err := x.server.nextUID()
	if err != nil {
		return nil, err
	}
	x.all, x.known = all, len(all)
	return &imap.SelectData{
		Flags:       []imap.Flag{imap.FlagSeen, imap.FlagDeleted},
		NumMessages: uint32(len(all)), UIDNext: imap.UID(next), UIDValidity: uidValidity,
	}, nil
}

// Unselect closes the mailbox.
func (x *reading) Unselect() error {
	x.all, x.known = nil, 0
	return nil
}

// List lists INBOX.
func (x *reading) List(w *imapserver.ListWriter, ref string, patterns []string, _ *imap.ListOptions) error {
	for _, p := range patterns {
		if imapserver.MatchList("INBOX", '/', ref, p) {
			return w.WriteList(&imap.ListData{Delim: '/', Mailbox: "INBOX"})
		}
	}
	return nil
}

// Status counts INBOX.
func (x *reading) Status(mailbox string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	if !strings.EqualFold(mailbox, "INBOX") {
		return nil, refusal(imap.ResponseCodeNonExistent, "Mailbox doesn't exist")
	}
	all, err := x.server.journalAsOf(x.server.frame.Now())
	if err != nil {
		return nil, err
	}
	next, err := x.server.nextUID()
	n := uint32(len(all))
	return &imap.StatusData{Mailbox: "INBOX", NumMessages: &n, UIDNext: imap.UID(next), UIDValidity: uidValidity}, err
}

// Poll tells the client what came and went since it was last told.
func (x *reading) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if x.all == nil && x.known == 0 || !allowExpunge {
		return nil
	}
	now, err := x.server.journalAsOf(x.server.frame.Now())
	if err != nil {
		return err
	}
	left := len(now) // of what is there now, those before it are compared
	first := x.known - 1
	if x.known > 0 && left >= x.known && &now[0] == &x.all[0] {
		first = -1 // it was only added to: a long journal is not walked for each command
	}
	for i := first; i >= 0; i-- {
		uid := x.all[i].uid
		for left > 0 && now[left-1].uid > uid {
			left--
		}
		if left == 0 || now[left-1].uid != uid {
			if err := w.WriteExpunge(uint32(i + 1)); err != nil {
				return err
			}
			x.known--
		}
	}
	x.all = now
	if len(now) != x.known {
		x.known = len(now)
		return w.WriteNumMessages(uint32(len(now)))
	}
	return nil
}

// Search answers under the fault that the call suffers; faults of the messages
// that it then fetches are those of its search.
func (x *reading) Search(kind imapserver.NumKind, c *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	call := classify(c)
	if x.server.frame.Dies(x.raw.client(), call) != simulator.Lives { // it reads, so before and after are one
		_ = x.raw.Close()
		return nil, net.ErrClosed
	}
	f := x.server.frame.Suffer(call)
	if err := x.refuse(call, f); err != nil {
		return nil, err
	}
	if f.Kind == simulator.Stale {
		old, err := x.server.journalAsOf(x.server.frame.Now().Add(-f.Delay))
		if err != nil {
			return nil, err
		}
		x.all, x.known = old, len(old) // what is fetched next is as old
	}
	found, err := x.find(c, call, f)
	if err != nil {
		return nil, err
	}
	x.server.frame.Note(call, f, 200)
	return result(kind, omit(found, f)), nil
}

func (x *reading) find(c *imap.SearchCriteria, call simulator.Call, f simulator.Fault) ([]looked, error) {
	lower(c)
	places, err := x.places(c, f)
	if err != nil {
		return nil, err
	}
	var found []looked
	for i := range places {
		m := x.all[i]
		l := looked{
			m: m, seq: uint32(i + 1), last: x.all[len(x.all)-1].uid, count: uint32(len(x.all)), zone: x.server.settings.Zone, server: x.server,
		}
		hit, err := l.matches(c)
		if err != nil {
			return nil, err
		}
		if f.Kind == simulator.Foreign {
			hit = m.order != call.Order && m.order != ""
		}
		if hit {
			found = append(found, l)
		}
	}
	return found, nil
}

// places are the places in the mailbox at which a search may find something.
func (x *reading) places(c *imap.SearchCriteria, f simulator.Fault) (iter.Seq[int], error) {
	if f.Kind == simulator.Foreign {
		return each(0, len(x.all)), nil // it finds what was not searched for
	}
	begin, end := x.bounds(c)
	var uids []uint32
	var named bool
	err := x.server.frame.View(func(tx *sql.Tx) error {
		if err := x.server.index.read(tx, x.server.settings); err != nil {
			return err
		}
		if x.server.index.jumbled {
			begin, end = 0, len(x.all)
		}
		uids, named = x.server.index.named(c)
		return nil
	})
	if err != nil || !named {
		return each(begin, end), err
	}
	return func(yield func(int) bool) {
		for _, uid := range uids {
			if i, there := x.place(uid); there && i >= begin && i < end && !yield(i) {
				return
			}
		}
	}, nil
}

// place is where in the mailbox a message lies, or would.
func (x *reading) place(uid uint32) (int, bool) {
	return slices.BinarySearchFunc(x.all, uid, func(m stored, uid uint32) int { return cmp.Compare(m.uid, uid) })
}

// bounds is the part of the mailbox in which everything lies that a search may find,
// where what came later was also shown later. A range of UIDs to the end is how a
// client goes on, and days are how it looks at a window; neither is to be walked from
// the start.
func (x *reading) bounds(c *imap.SearchCriteria) (begin, end int) {
	end = len(x.all)
	if end == 0 {
		return 0, 0
	}
	if len(c.UID) == 1 && len(c.UID[0]) == 1 {
		from, to := uint32(c.UID[0][0].Start), uint32(c.UID[0][0].Stop)
		if last := x.all[end-1].uid; from != 0 && (to == 0 || to >= from) && from <= last {
			begin, _ = x.place(from)
			if to != 0 {
				var there bool
				if end, there = x.place(to); there {
					end++
				}
			}
		}
	}
	shown := func(at time.Time) int {
		i, _ := slices.BinarySearchFunc(x.all, at.UnixNano(), func(m stored, at int64) int { return cmp.Compare(m.shown, at) })
		return i
	}
	if !c.Since.IsZero() {
		begin = max(begin, shown(date(c.Since).Add(-anyZone)))
	}
	if !c.Before.IsZero() {
		end = min(end, shown(date(c.Before).Add(anyZone)))
	}
	return min(begin, end), end
}

// anyZone is further than the day of any zone is from that of another.
const anyZone = 48 * time.Hour

func result(kind imapserver.NumKind, found []looked) *imap.SearchData {
	data := &imap.SearchData{Count: uint32(len(found))}
	var seqs imap.SeqSet
	var uids imap.UIDSet
	for _, l := range found {
		seqs.AddNum(l.seq)
		uids.AddNum(imap.UID(l.m.uid))
	}
	data.All = uids
	if kind == imapserver.NumKindSeq {
		data.All = seqs
	}
	return data
}

// omit leaves out what a list or a look-up under a fault does not show.
func omit(found []looked, f simulator.Fault) []looked {
	switch {
	case f.Kind == simulator.EmptyList:
		return nil
	case f.Kind == simulator.NotListed && f.Order != "":
		return slices.DeleteFunc(found, func(l looked) bool { return l.m.order == f.Order })
	case f.Kind == simulator.NotListed && len(found) > 0:
		return found[:len(found)-1]
	}
	return found
}

// refuse carries out the faults under which nothing is answered to a search.
func (x *reading) refuse(call simulator.Call, f simulator.Fault) error {
	note := func(status int, err error) error {
		x.server.frame.Note(call, f, status)
		return err
	}
	switch f.Kind { // the others answer
	case simulator.Unavailable:
		return note(503, refusal(imap.ResponseCodeUnavailable, "Backend is not available"))
	case simulator.ResponseError, simulator.ReplaysError, simulator.Rejected:
		return note(500, refusal(imap.ResponseCodeServerBug, "Internal error occurred"))
	case simulator.RateLimited:
		return note(429, refusal(imap.ResponseCodeLimit, "Too many commands"))
	case simulator.Unauthorized:
		return note(401, refusal(imap.ResponseCodeAuthorizationFailed, "Not authorized"))
	case simulator.Garbage:
		_, _ = io.WriteString(x.conn.NetConn(), "<html><body>It works!</body></html>\r\n")
		return note(200, refusal("", "Nonsense"))
	case simulator.Late:
		x.raw.hang(x.server.frame)
		return note(0, net.ErrClosed)
	case simulator.Refused, simulator.ResponseLost:
		_ = x.raw.Close()
		return note(0, net.ErrClosed)
	}
	return nil
}

// Fetch returns the parts of messages that were asked for. A message that is
// gone is left out, as IMAP has it.
func (x *reading) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	if len(x.all) == 0 {
		return nil
	}
	last, count := x.all[len(x.all)-1].uid, uint32(len(x.all))
	begin, end := 0, len(x.all)
	if uids, ok := set.(imap.UIDSet); ok {
		begin, end = x.span(uids)
	}
	var asked []int
	for i := begin; i < end; i++ {
		switch set := set.(type) {
		case imap.SeqSet:
			if !within(set, uint32(i+1), count) {
				continue
			}
		case imap.UIDSet:
			if !withinUID(set, x.all[i].uid, last) {
				continue
			}
		}
		asked = append(asked, i)
	}
	for some := range slices.Chunk(asked, fetchedTogether) {
		uids := make([]uint32, len(some))
		for n, i := range some {
			uids[n] = x.all[i].uid
		}
		raws, err := x.server.raws(uids)
		if err != nil {
			return err
		}
		for _, i := range some {
			m := x.all[i]
			if err := fetch(w.CreateMessage(uint32(i+1)), m.at(x.server.settings.Zone), m, raws[m.uid], o); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchedTogether is how many messages are read out of the database at once.
const fetchedTogether = 100

// span is the part of the mailbox in which all messages of a set lie.
func (x *reading) span(set imap.UIDSet) (begin, end int) {
	from, to := imap.UID(0), imap.UID(0)
	for _, r := range set {
		if r.Start == 0 || r.Stop == 0 {
			return 0, len(x.all)
		}
		low, high := min(r.Start, r.Stop), max(r.Start, r.Stop)
		if from == 0 || low < from {
			from = low
		}
		to = max(to, high)
	}
	begin, _ = x.place(uint32(from))
	end, _ = x.place(uint32(to) + 1)
	return begin, end
}

func fetch(w *imapserver.FetchResponseWriter, at time.Time, m stored, raw []byte, o *imap.FetchOptions) error {
	w.WriteUID(imap.UID(m.uid))
	if o.Flags {
		w.WriteFlags(nil)
	}
	if o.InternalDate {
		w.WriteInternalDate(at)
	}
	if o.RFC822Size {
		w.WriteRFC822Size(m.size)
	}
	if o.Envelope {
		h, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return err
		}
		w.WriteEnvelope(imapserver.ExtractEnvelope(h))
	}
	if o.BodyStructure != nil {
		w.WriteBodyStructure(imapserver.ExtractBodyStructure(bytes.NewReader(raw)))
	}
	for _, section := range o.BodySection {
		data := imapserver.ExtractBodySection(bytes.NewReader(raw), section)
		body := w.WriteBodySection(section, int64(len(data)))
		_, err := body.Write(data)
		if closed := body.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// Idle is not offered for what a poll tells.
func (x *reading) Idle(_ *imapserver.UpdateWriter, stop <-chan struct{}) error {
	<-stop
	return nil
}

// Create is refused: the journal is read-only, as are the others below.
func (x *reading) Create(string, *imap.CreateOptions) error { return errReadOnly }

// Delete is refused.
func (x *reading) Delete(string) error { return errReadOnly }

// Rename is refused.
func (x *reading) Rename(string, string, *imap.RenameOptions) error { return errReadOnly }

// Subscribe is refused.
func (x *reading) Subscribe(string) error { return errReadOnly }

// Unsubscribe is refused.
func (x *reading) Unsubscribe(string) error { return errReadOnly }

// Append is refused.
func (x *reading) Append(string, imap.LiteralReader, *imap.AppendOptions) (*imap.AppendData, error) {
	return nil, errReadOnly
}

// Expunge is refused.
func (x *reading) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error { return errReadOnly }

// Store is refused.
func (x *reading) Store(*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions) error {
	return errReadOnly
}

// Copy is refused.
func (x *reading) Copy(imap.NumSet, string) (*imap.CopyData, error) { return nil, errReadOnly }
