package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/activities/erp"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// Set is everything that a worker process registers, by task queue. The tests'
// environment registers the same, so that what is tested is what runs.
type Set struct {
	Workflows      *workflows.Workflows
	Payment        *payment.Activities
	Inventory      *inventory.Activities
	Warehouse      *warehouse.Activities
	ERP            *erp.Activities
	CRM            *crm.Activities
	Mail           *mail.Activities
	Reconciliation *reconciliation.Activities
	Switches       *repair.Switches
}

// Make makes the set from the configuration, the systems and the way to the
// orders.
func (c Config) Make(systems *Systems, client *starters.Client, wait func(context.Context, time.Duration) error) (*Set, error) {
	policy, err := c.policy()
	if err != nil {
		return nil, err
	}
	if err := c.plantable(policy); err != nil {
		return nil, err
	}
	flows, err := workflows.New(c.settings(policy, systems))
	if err != nil {
		return nil, err
	}
	now := client.Now
	receiver, err := c.receiver(now)
	if err != nil {
		return nil, err
	}
	switches := repair.NewSwitches(now)
	return &Set{
		Workflows: flows,
		Payment:   &payment.Activities{Gateway: systems.Payment, Switches: switches, Now: now, KeyWindow: systems.Abilities(order.SystemPayment).KeyWindow, Blind: c.Stripe.Blind},
		Inventory: &inventory.Activities{Stock: systems.Inventory, Switches: switches, Now: now},
		Warehouse: &warehouse.Activities{Warehouse: systems.Warehouse, Switches: switches, Now: now},
		ERP:       &erp.Activities{Books: systems.ERP, Switches: switches, Now: now},
		CRM:       &crm.Activities{Book: systems.CRM, Switches: switches, Now: now},
		Mail: &mail.Activities{
			Mailer: systems.Mail, Switches: switches, Now: now, Wait: wait,
			Abilities: systems.Abilities(order.SystemMail), Journal: c.Mail.IMAP != "",
		},
		Reconciliation: &reconciliation.Activities{
			Readers: systems.Readers(), Levels: systems.Inventory, Counts: systems.Warehouse, Orders: client, Keeper: client, Owner: systems.Owner,
			Days: client, Sweeps: c.sweeps(policy, systems), Planter: systems.planter(), Receiver: receiver, Policy: policy,
			Thresholds: c.thresholds(),
			Since:      c.Since.Time, Now: now, Wait: wait,
		},
		Switches: switches,
	}, nil
}

// Registry is what workflows and activities are registered with: a worker, or
// a test's environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions)
	RegisterActivity(a any)
}

// RegisterWorkflows registers the workflows under their durable names.
func (s *Set) RegisterWorkflows(r Registry) {
	r.RegisterWorkflowWithOptions(s.Workflows.Order, workflow.RegisterOptions{Name: workflows.OrderType})
	r.RegisterWorkflowWithOptions(s.Workflows.Stock, workflow.RegisterOptions{Name: workflows.StockType})
	r.RegisterWorkflowWithOptions(s.Workflows.Inbox, workflow.RegisterOptions{Name: workflows.InboxType})
	r.RegisterWorkflowWithOptions(s.Workflows.Reconciliation, workflow.RegisterOptions{Name: workflows.ReconciliationType})
	r.RegisterWorkflowWithOptions(s.Workflows.Reconcile, workflow.RegisterOptions{Name: workflows.ReconcileType})
	r.RegisterWorkflowWithOptions(s.Workflows.Sweep, workflow.RegisterOptions{Name: workflows.SweepType})
	r.RegisterWorkflowWithOptions(s.Workflows.Sweeps, workflow.RegisterOptions{Name: workflows.SweepsType})
}

// ActivitiesOf returns the activities that a task queue serves.
func (s *Set) ActivitiesOf(queue string) any {
	switch queue {
	case workflows.SystemQueue(order.SystemPayment):
		return s.Payment
	case workflows.SystemQueue(order.SystemInventory):
		return s.Inventory
	case workflows.SystemQueue(order.SystemWarehouse):
		return s.Warehouse
	case workflows.SystemQueue(order.SystemERP):
		return s.ERP
	case workflows.SystemQueue(order.SystemCRM):
		return s.CRM
	case workflows.SystemQueue(order.SystemMail):
		return s.Mail
	default:
		return s.Reconciliation
	}
}

// ActivityQueues returns the task queues of activities.
func ActivityQueues() []string {
	var queues []string
	for _, s := range order.Systems() {
		queues = append(queues, workflows.SystemQueue(s))
	}
	return append(queues, workflows.ReconciliationQueue, workflows.CommitQueue)
}

// stopTimeout is how long a stopping worker waits for calls under way, longer
// than any call may take, so that a deploy leaves none in doubt.
const stopTimeout = 20 * time.Second

// Run serves the engine's task queues until the context ends.
func Run(ctx context.Context, c Config, engine client.Client, log *logrus.Logger, now func() time.Time) error {
	systems, err := c.Connect(now, nil)
	if err != nil {
		return err
	}
	if e, ok := systems.CRM.(interface{ EnsureProperties(context.Context) error }); ok {
		if err := e.EnsureProperties(ctx); err != nil {
			log.WithError(err).Warn("the CRM's properties could not be made now; orders that need them wait until they are")
		}
	}
	port, err := starters.OnTemporal(engine)
	if err != nil {
		return err
	}
	orders := &starters.Client{Engine: port, Now: now}
	set, err := c.Make(systems, orders, Wait)
	if err != nil {
		return err
	}
	if err := c.ensure(ctx, orders); err != nil {
		return err
	}
	fatal := make(chan error, 1)
	all := set.Workers(engine, c, func(err error) {
		select {
		case fatal <- err:
		default:
		}
	})
	for i, w := range all {
		if err := w.Start(); err != nil {
			stop(all[:i])
			return fmt.Errorf("start worker: %w", err)
		}
	}
	defer stop(all)
	go set.WatchSwitches(ctx, orders, log)
	go c.keep(ctx, orders, log, Wait)
	log.WithField("queues", append([]string{workflows.Queue}, ActivityQueues()...)).Info("worker serves")
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("worker: %w", err)
	}
}

// ensure makes sure that reconciliation and its sweeps run.
func (c Config) ensure(ctx context.Context, orders *starters.Client) error {
	if err := orders.EnsureReconciliation(ctx, c.ReconcileEvery); err != nil {
		return fmt.Errorf("start reconciliation: %w", err)
	}
	if err := orders.EnsureSweeps(ctx, c.SweepEvery); err != nil {
		return fmt.Errorf("start sweeps: %w", err)
	}
	return nil
}

// keep starts reconciliation anew when the engine does not know it any more, until
// the context ends: it has lost its data while we live.
func (c Config) keep(ctx context.Context, orders *starters.Client, log *logrus.Logger, wait func(context.Context, time.Duration) error) {
	for wait(ctx, keptEvery) == nil {
		limited, cancel := context.WithTimeout(ctx, keptEvery)
		if _, err := orders.Status(limited); errors.Is(err, starters.ErrNotFound) {
			log.Warn("the engine does not know reconciliation any more; it is started anew")
			if err := c.ensure(limited, orders); err != nil {
				log.WithError(err).Warn("reconciliation could not be started anew; it is tried again in a few seconds")
			}
		}
		cancel()
	}
}

// keptEvery is how often it is asked whether the engine still knows reconciliation.
const keptEvery = 15 * time.Second

// Workers makes one worker for workflows and one for each system's activities.
func (s *Set) Workers(engine client.Client, c Config, fatal func(error)) []worker.Worker {
	w := worker.New(engine, workflows.Queue, worker.Options{
		WorkerStopTimeout: stopTimeout, DisableRegistrationAliasing: true, LocalActivityWorkerOnly: true, OnFatalError: fatal,
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{InitialNumberOfPollers: 4}),
	})
	s.RegisterWorkflows(w)
	all := []worker.Worker{w}
	for _, queue := range ActivityQueues() {
		parallel := c.Parallel
		if queue == workflows.CommitQueue { // they only wait
			parallel *= 10
		}
		w := worker.New(engine, queue, worker.Options{
			WorkerStopTimeout: stopTimeout, DisableRegistrationAliasing: true, DisableWorkflowWorker: true, OnFatalError: fatal,
			Interceptors:                       []interceptor.WorkerInterceptor{repair.Doubts()},
			MaxConcurrentActivityExecutionSize: parallel, TaskQueueActivitiesPerSecond: c.PerSecond,
			ActivityTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{InitialNumberOfPollers: 2}),
		})
		w.RegisterActivity(s.ActivitiesOf(queue))
		all = append(all, w)
	}
	return all
}

func stop(all []worker.Worker) {
	done := make(chan struct{}, len(all))
	for _, w := range all {
		go func() {
			w.Stop()
			done <- struct{}{}
		}()
	}
	for range all {
		<-done
	}
}

// switchesEvery is how often a worker reads the stop switches.
const switchesEvery = 5 * time.Second

// WatchSwitches reads the stop switches until the context ends. While they
// cannot be read this worker repairs nothing: see repair.Switches.
func (s *Set) WatchSwitches(ctx context.Context, orders *starters.Client, log *logrus.Logger) {
	for {
		limited, cancel := context.WithTimeout(ctx, switchesEvery)
		status, err := orders.Status(limited)
		cancel()
		if err == nil {
			s.Switches.Set(status.Stopped())
		} else if ctx.Err() == nil {
			log.WithError(err).Debug("the switches could not be read; they are read again in a few seconds")
		}
		if Wait(ctx, switchesEvery) != nil {
			return
		}
	}
}

// Wait waits for d, unless the context ends first.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.New("the wait was ended")
	case <-timer.C:
		return nil
	}
}
