// Command bench measures what the product costs beside its floor, in the same
// run, and prints one line for each figure.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"io"
	"net/http"

	"github.com/trueup-orders/trueup/order"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(ctx, role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	s, err := raise(ctx, "")
	if err != nil { panic(err) }
	defer func() { fmt.Println(s.strike()) }()
	for i := range 2 {
	t0 := time.Now()
	o := anOrder(fmt.Sprintf("%s-%d", s.prefix, i))
	a, err := s.orders.Submit(ctx, o)
	fmt.Println(a, err, time.Since(t0))
	time.Sleep(3*time.Second)
	if i == 1 {
	for sys, c := range s.consoles {
		r, err := http.Get(c + "/ledger?order="+string(o.ID))
		fmt.Println(sys, c, err)
		if err != nil { panic(err) }
		io.Copy(os.Stdout, r.Body)
	}
	time.Sleep(15*time.Second)
	h, err := s.history(ctx, o.ID)
	fmt.Println(err)
	for _, e := range h { fmt.Println(e.GetEventId(), e.GetEventTime().AsTime().Sub(t0), e.GetEventType(), e.GetActivityTaskScheduledEventAttributes().GetActivityId(), e.GetWorkflowExecutionSignaledEventAttributes()) }
	}
	}
	_ = order.SystemCRM
}
