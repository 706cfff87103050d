package virtual

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/workers"
)

// The addresses of the mail provider in a bubble, where no socket listens: who
// waits for one does not stand still in the eyes of synctest.
const (
	smtpHost = "127.0.0.1:25"
	imapHost = "127.0.0.1:143"
)

// openMail opens the way to the mail provider.
func (w *World) openMail(ca string) (workers.MailRelay, error) {
	relay := workers.MailRelay{
		From: "shop@shop.test", ShopName: "Virtual shop", Journal: "journal@shop.test",
		IMAPUser: "journal", IMAPPassword: "journal", VisibilityLag: 10 * time.Millisecond,
	}
	if w.gate != nil {
		relay.SMTP, relay.IMAP, relay.Dial = smtpHost, imapHost, w.dial
		relay.SMTPSecurity, relay.IMAPSecurity = string(smtp.Off), string(smtp.Off)
		return relay, nil
	}
	relay.CA = ca
	sending, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return relay, err
	}
	reading, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return relay, err
	}
	go func() { _ = w.Mail.ServeSMTP(sending) }()
	go func() { _ = w.Mail.ServeIMAP(reading) }()
	relay.SMTP, relay.IMAP = sending.Addr().String(), reading.Addr().String()
	return relay, nil
}

// dial opens a connection to the mail provider when its turn comes; all that is
// said over it is one turn.
func (w *World) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.enter(ctx, "dial "+address)
	ours, theirs := net.Pipe()
	switch address {
	case smtpHost:
		go w.Mail.SMTPConn(line{theirs, ctx})
	case imapHost:
		go w.Mail.IMAPConn(line{theirs, ctx})
	default:
		return nil, fmt.Errorf("nobody listens at %s", address)
	}
	return ours, nil
}

// line is the provider's end of a connection, with the call it was opened for.
type line struct {
	net.Conn
	ctx context.Context
}

// Context returns the context of the call.
func (l line) Context() context.Context { return l.ctx }
