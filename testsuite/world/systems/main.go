// Command systems runs the six simulated systems, or some of them, as servers on
// loopback, until it is interrupted. It prints where they are, in the form of
// the worker's environment.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/world"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "systems:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("systems", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for the database files; empty keeps them in memory")
	only := flags.String("only", "", "run these systems alone, as payment,erp")
	port := flags.Int("port", 9100, "the first port; 0 takes free ones")
	webhooks := flags.String("webhooks", "http://127.0.0.1:8088", "where webhooks are posted; empty posts none")
	stock := flags.String("stock", "MUG=100,TSHIRT=100,POSTER=100", "what lies in the warehouse, as SKU=pieces")
	pace := flags.Duration("pace", 0, "how long the warehouse takes to pick, to pack, to ship and to deliver, each; 0: nobody works by himself")
	cart := flags.String("cart", "", "an abandoned cart in the CRM, as CART:CUSTOMER:EMAIL")
	environment := flags.String("environment", "", "also write the environment to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	options := world.Options{Dir: *dir, Port: *port, Webhooks: *webhooks, Stock: map[string]int{}}
	if *pace > 0 {
		options.Pace = warehouse.Pace{Pick: *pace, Pack: 2 * *pace, Ship: 3 * *pace, Deliver: *pace, Return: *pace}
	}
	if *only != "" {
		for _, s := range strings.Split(*only, ",") {
			options.Only = append(options.Only, order.System(s))
		}
	}
	for _, item := range strings.Split(*stock, ",") {
		sku, n, _ := strings.Cut(item, "=")
		pieces, err := strconv.Atoi(n)
		if err != nil {
			return fmt.Errorf("-stock: %q is not SKU=pieces", item)
		}
		options.Stock[sku] = pieces
	}
	if *cart != "" {
		parts := strings.SplitN(*cart, ":", 3)
		if len(parts) != 3 {
			return fmt.Errorf("-cart: %q is not CART:CUSTOMER:EMAIL", *cart)
		}
		options.Carts = []crm.Cart{{Cart: parts[0], Customer: parts[1], Email: parts[2]}}
	}
	if *dir != "" {
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return err
		}
	}
	w, err := world.Open(options)
	if err != nil {
		return err
	}
	lines := w.Environment()
	for _, s := range order.Systems() {
		if w.Address(s) != "" {
			lines = append(lines, "TRUEUP_CONSOLE_"+strings.ToUpper(string(s))+"="+w.Console(s))
		}
	}
	text := strings.Join(lines, "\n") + "\n"
	if *environment != "" {
		if err := os.WriteFile(*environment+".new", []byte(text), 0o600); err != nil {
			return err
		}
		if err := os.Rename(*environment+".new", *environment); err != nil {
			return err
		}
	}
	fmt.Fprint(os.Stdout, text)
	<-ctx.Done()
	done := make(chan error, 1)
	go func() { done <- w.Close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(3 * time.Second):
		return nil // a call that waits for its client holds nothing that is not on disk
	}
}
