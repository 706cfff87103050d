package smtp

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	gomail "github.com/emersion/go-message/mail"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The headers by which a message is found again.
const (
	headerOrder    = "X-Trueup-Order"
	headerKey      = "X-Trueup-Key"
	headerTemplate = "X-Trueup-Template"
	headerOccasion = "X-Trueup-Occasion"
)

//go:embed templates/*.txt
var files embed.FS

// templates holds one file per template, each with a subject and a body.
var templates = func() map[reconcile.Template]*template.Template {
	all := map[reconcile.Template]*template.Template{}
	for _, name := range []reconcile.Template{
		reconcile.MailConfirmation, reconcile.MailShipped, reconcile.MailCancellation,
		reconcile.MailRefund, reconcile.MailQuestion,
	} {
		file := "templates/" + string(name) + ".txt"
		all[name] = template.Must(template.New(string(name)).Option("missingkey=error").ParseFS(files, "templates/shared.txt", file))
	}
	return all
}()

// letter is a message that is ready to be handed over.
type letter struct {
	id, key, to string
	body        []byte
}

// content is what the templates may name. Texts that are empty are left out.
type content struct {
	Shop, Name, Order, Kind                        string
	Amount, Shipping, Discount, Deadline, Tracking string
	Question, Link                                 string
	Lines, Missing, Rest                           []line
}

type line struct {
	SKU      string
	Quantity int64
	Price    string // of the whole line with tax; empty when it is not shown
}

// check refuses what can never be sent.
func check(r mail.SendRequest) error {
	invalid := func(format string, args ...any) error {
		return apierr.New(apierr.Invalid, "bad_request", fmt.Errorf(format, args...))
	}
	if intent, ok := order.ParseKey(r.Key); !ok || intent.Order != r.Order {
		return invalid("the key %q is none of this order", r.Key)
	}
	if _, ok := templates[r.Template]; !ok {
		return invalid("there is no template %q", r.Template)
	}
	if r.Occasion < 1 {
		return invalid("occasion %d is less than 1", r.Occasion)
	}
	if r.Due.IsZero() {
		return invalid("it is not said when it was due")
	}
	if _, _, ok := cutAddress(r.To); !ok {
		return apierr.New(apierr.Declined, "bad_address", errors.New("the customer's address is none"))
	}
	switch r.Content.Kind {
	case "", mail.KindStock, mail.KindPayment, mail.KindRequest:
	default:
		return invalid("there is no kind %q of content", r.Content.Kind)
	}
	texts := []string{r.Name, r.Content.Tracking, string(r.Content.Amount.Currency)}
	for _, l := range slices.Concat(r.Content.Lines, r.Content.Missing, r.Content.Rest) {
		texts = append(texts, l.SKU)
	}
	for _, text := range texts {
		if unprintable(text) {
			return invalid("a text has a control character")
		}
	}
	if link := r.Content.Link; link != "" {
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(link, " <>\"") || unprintable(link) {
			return invalid("the link is no web address")
		}
	}
	return nil
}

// compose writes the message. The same request at the same moment is the same
// message, byte for byte.
func (c *Client) compose(r mail.SendRequest, now time.Time) (letter, error) {
	subject, text, err := c.render(r)
	if err != nil {
		return letter{}, apierr.New(apierr.Invalid, "bad_template", err)
	}
	id := messageID(r.Key, c.domain)
	var h gomail.Header
	// The last field added stands first.
	h.Set("Mime-Version", "1.0")
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.Set(headerOccasion, strconv.Itoa(r.Occasion))
	h.Set(headerTemplate, string(r.Template))
	h.Set(headerKey, r.Key)
	h.Set(headerOrder, string(r.Order))
	h.Set("Auto-Submitted", "auto-generated") // RFC 3834: no holiday replies, please
	h.SetMessageID(strings.Trim(id, "<>"))
	h.SetSubject(subject)
	h.SetAddressList("To", []*gomail.Address{{Name: r.Name, Address: r.To}})
	h.SetAddressList("From", []*gomail.Address{{Name: c.config.From.Name, Address: c.config.From.Address}})
	h.SetDate(now.UTC())
	var b bytes.Buffer
	w, err := gomail.CreateSingleInlineWriter(&b, h)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return letter{}, apierr.New(apierr.Invalid, "bad_message", fmt.Errorf("write the message: %w", err))
	}
	return letter{id: id, key: r.Key, to: r.To, body: b.Bytes()}, nil
}

func (c *Client) render(r mail.SendRequest) (subject, text string, err error) {
	in := c.shown(r)
	var s, b strings.Builder
	t := templates[r.Template]
	if err := t.ExecuteTemplate(&s, "subject", in); err != nil {
		return "", "", err
	}
	if err := t.ExecuteTemplate(&b, "body", in); err != nil {
		return "", "", err
	}
	if unprintable(s.String()) {
		return "", "", errors.New("the subject has a control character")
	}
	text = gaps.ReplaceAllString(b.String(), "\n\n") // what is left out leaves a gap
	return s.String(), strings.ReplaceAll(text, "\n", "\r\n"), nil
}

var gaps = regexp.MustCompile(`\n{3,}`)

// deadlineFormat names the zone: nobody told us the customer's.
const deadlineFormat = "Monday, 2 January 2006, 15:04 UTC"

// shown turns a request into the words and numbers of its text.
func (c *Client) shown(r mail.SendRequest) content {
	from := r.Content
	in := content{
		Shop: c.config.ShopName, Name: r.Name, Order: string(r.Order), Kind: from.Kind, Tracking: from.Tracking,
		Question: tidy(from.Question), Link: from.Link,
		Lines: linesOf(from.Lines, ""), Missing: linesOf(from.Missing, ""), Rest: linesOf(from.Rest, ""),
	}
	if !from.Deadline.IsZero() {
		in.Deadline = from.Deadline.UTC().Format(deadlineFormat)
	}
	currency := from.Amount.Currency
	if currency == "" {
		return in
	}
	if from.Amount.Minor != 0 {
		in.Amount = from.Amount.String()
	}
	goods, shown := from.Lines, &in.Lines
	if from.Kind == mail.KindPayment && r.Template == reconcile.MailQuestion {
		goods, shown = from.Missing, &in.Missing
	}
	sum := from.Shipping - from.Discount
	for _, l := range goods {
		sum += l.Gross - l.Discount + l.Tax
	}
	if sum != from.Amount.Minor || sum == 0 {
		return in // numbers that do not add up only raise questions
	}
	*shown = linesOf(goods, currency)
	if from.Shipping != 0 {
		in.Shipping = order.Amount{Minor: from.Shipping, Currency: currency}.String()
	}
	if from.Discount != 0 {
		in.Discount = order.Amount{Minor: -from.Discount, Currency: currency}.String()
	}
	return in
}

// linesOf returns lines as they are shown, with prices when a currency is given.
func linesOf(shares []order.LineShare, currency order.Currency) []line {
	lines := make([]line, 0, len(shares))
	for _, l := range shares {
		shown := line{SKU: l.SKU, Quantity: l.Quantity}
		if currency != "" {
			shown.Price = order.Amount{Minor: l.Gross - l.Discount + l.Tax, Currency: currency}.String()
		}
		lines = append(lines, shown)
	}
	return lines
}

// tidy keeps a question's lines and drops every other control character.
func tidy(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unprintable(string(r)) {
			return -1
		}
		return r
	}, s)
}

// messageID makes the Message-ID of a key: different keys, different ids. The
// slash becomes a dot, and whatever is no letter, digit or hyphen is escaped, so
// that the id is well formed even for order a..b.
func messageID(key, domain string) string {
	var b strings.Builder
	b.WriteByte('<')
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		case c == '/':
			b.WriteByte('.')
		default:
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String() + "@" + domain + ">"
}

// plain drops what a library quotes of an answer, which may hold anything.
func plain(err error) error {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return errNonsense
	}
	return err
}
