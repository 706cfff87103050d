package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
)

// desks are the six consoles and the gateway, over HTTP: all that the demo
// knows it has read here.
type desks struct {
	client   *http.Client
	gateway  string
	consoles map[order.System]string
}

// ask sends one request and decodes the answer.
func (d *desks) ask(ctx context.Context, method, address string, body, into any) (int, error) {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w", method, address, err)
		}
		sent = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, sent)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, address, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := d.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, address, err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, 32<<20))
	if err != nil {
		return 0, fmt.Errorf("%s %s: read the answer: %w", method, address, err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			return response.StatusCode, fmt.Errorf("%s %s: %d %.200s: %w", method, address, response.StatusCode, data, err)
		}
	}
	return response.StatusCode, nil
}

// console asks a system's console, which answers 200 or says what is wrong.
func (d *desks) console(ctx context.Context, system order.System, method, path string, body, into any) error {
	var raw json.RawMessage
	status, err := d.ask(ctx, method, d.consoles[system]+path, body, &raw)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s console, %s %s: %d %s", system, method, path, status, raw)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	return err
}

func (d *desks) ledger(ctx context.Context, system order.System, of order.ID) ([]simulator.Entry, error) {
	var entries []simulator.Entry
	return entries, d.console(ctx, system, http.MethodGet, "/ledger?order="+url.QueryEscape(string(of)), nil, &entries)
}

func (d *desks) inject(ctx context.Context, system order.System, f simulator.Fault) (int, error) {
	body := map[string]any{"operation": f.Operation, "kind": f.Kind, "times": f.Times, "order": f.Order, "skip": f.Skip}
	if f.Delay > 0 {
		body["delay"] = f.Delay.String()
	}
	var injected struct {
		ID int `json:"id"`
	}
	return injected.ID, d.console(ctx, system, http.MethodPost, "/faults", body, &injected)
}

func (d *desks) clear(ctx context.Context, system order.System) error {
	return d.console(ctx, system, http.MethodDelete, "/faults", nil, nil)
}

func (d *desks) faults(ctx context.Context, system order.System) ([]simulator.Fault, error) {
	var all []simulator.Fault
	return all, d.console(ctx, system, http.MethodGet, "/faults", nil, &all)
}

// edit changes a record as a person in that system would.
func (d *desks) edit(ctx context.Context, system order.System, change map[string]any) error {
	return d.console(ctx, system, http.MethodPost, "/edit", change, nil)
}

func (d *desks) event(ctx context.Context, system order.System, event map[string]any) error {
	return d.console(ctx, system, http.MethodPost, "/event", event, nil)
}

// records is what all six systems hold, in their own terms.
type records struct {
	payment   payment.State
	inventory inventory.Records
	warehouse warehouse.State
	erp       erp.State
	crm       crm.State
	mail      []mail.Message
}

// records reads what the systems hold of an order, or of all when it is empty.
func (d *desks) records(ctx context.Context, of order.ID) (records, error) {
	var r records
	for _, one := range []struct {
		system order.System
		into   any
	}{
		{order.SystemPayment, &r.payment}, {order.SystemInventory, &r.inventory}, {order.SystemWarehouse, &r.warehouse},
		{order.SystemERP, &r.erp}, {order.SystemCRM, &r.crm}, {order.SystemMail, &r.mail},
	} {
		if err := d.console(ctx, one.system, http.MethodGet, "/state?order="+url.QueryEscape(string(of)), nil, one.into); err != nil {
			return r, err
		}
	}
	return r, nil
}

// submitted is the gateway's answer to a submission.
type submitted struct {
	Order   order.ID          `json:"order"`
	Phase   order.Phase       `json:"phase"`
	Outcome reconcile.Outcome `json:"outcome"`
	Error   string            `json:"error"`
}

func (d *desks) submit(ctx context.Context, o order.Order) (int, submitted, error) {
	var answer submitted
	status, err := d.ask(ctx, http.MethodPost, d.gateway+"/v1/orders?wait=30s", o, &answer)
	return status, answer, err
}

// verdict asks the gateway for the verdict from memory, which disturbs nobody.
func (d *desks) verdict(ctx context.Context, of order.ID) (reconcile.Verdict, error) {
	var v reconcile.Verdict
	status, err := d.ask(ctx, http.MethodGet, d.gateway+"/v1/orders/"+string(of)+"/verdict", nil, &v)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("verdict of order %s: the gateway answers %d", of, status)
	}
	return v, err
}

// newDesks reads the addresses of the consoles from the systems' environment.
func newDesks(gateway string, environment []string) (*desks, error) {
	d := &desks{client: &http.Client{Timeout: 40 * time.Second}, gateway: gateway, consoles: map[order.System]string{}}
	for _, system := range order.Systems() {
		address := setting(environment, consoleSetting(system))
		if address == "" {
			return nil, fmt.Errorf("the systems did not say where the console of %s is", system)
		}
		d.consoles[system] = address
	}
	return d, nil
}
