package workers

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// emptied is an engine that has lost its data: it knows what was started since.
type emptied struct {
	starters.Engine
	started   []string
	scheduled []string
}

func (e *emptied) Query(_ context.Context, id, _ string, _, _ any) error {
	if slices.Contains(e.started, id) {
		return nil
	}
	return starters.ErrNotFound
}

func (e *emptied) Submit(_ context.Context, s starters.Start, _ starters.Message, _ any) error {
	e.started = append(e.started, s.ID)
	return nil
}

func (e *emptied) Schedule(_ context.Context, s starters.Schedule) error {
	e.scheduled = append(e.scheduled, s.ID)
	return nil
}

func TestKeep_EngineLostItsData_ReconciliationStartsAnewOnce(t *testing.T) {
	t.Parallel()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	engine := &emptied{}
	waits := 0
	wait := func(context.Context, time.Duration) error {
		if waits++; waits > 3 {
			return errors.New("it ends")
		}
		return nil
	}
	Config{ReconcileEvery: time.Hour, SweepEvery: time.Hour}.keep(t.Context(), &starters.Client{Engine: engine, Now: time.Now}, quiet, wait)
	if !slices.Equal(engine.started, []string{workflows.ReconciliationID}) || !slices.Equal(engine.scheduled, []string{workflows.ScheduleID, workflows.SweepsID}) {
		t.Errorf("started %v and scheduled %v", engine.started, engine.scheduled)
	}
}
