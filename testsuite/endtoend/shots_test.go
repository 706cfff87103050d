package endtoend

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// Screenshots of the Temporal UI for docs/histories: with TRUEUP_SHOTS naming a
// folder, each recorded path leaves NAME.png there, taken by TRUEUP_BROWSER
// (chromium when that is not set).

var shots = os.Getenv("TRUEUP_SHOTS")

// uiPort is the port of the engine's UI: none unless screenshots are wanted.
func uiPort() int {
	if shots == "" {
		return -1
	}
	return 0
}

// kept is a recorded path and the run that it shows.
type kept struct{ path, workflow, run string }

// remember has a picture taken of an order's latest run once the stage is over,
// when nothing is timed any more.
func (b *bundle) remember(path string, id order.ID) {
	b.t.Helper()
	if shots == "" {
		return
	}
	described, err := b.client.DescribeWorkflowExecution(b.t.Context(), workflows.OrderWorkflowID(id), "")
	if err != nil {
		b.t.Fatal(err)
	}
	run := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, kept{path, workflows.OrderWorkflowID(id), run})
}

// photograph takes the pictures of a stage's recorded paths.
func (s *stage) photograph() {
	if len(s.kept) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+15*time.Second*time.Duration(len(s.kept)))
	defer cancel()
	profile, err := os.MkdirTemp("", "trueup-browser")
	if err == nil {
		defer func() { _ = os.RemoveAll(profile) }()
		err = s.shoot(ctx, profile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "take pictures of the recorded paths:", err)
	}
}

// A browser speaks the DevTools protocol over two pipes: one JSON document after
// the other, each ended by a zero byte.
type browser struct {
	to      io.Writer
	from    *bufio.Reader
	session string
	last    int
}

func (s *stage) shoot(ctx context.Context, profile string) error {
	theirs, to, err := os.Pipe()
	if err != nil {
		return err
	}
	from, back, err := os.Pipe()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, cmp.Or(os.Getenv("TRUEUP_BROWSER"), "chromium"), "--headless", "--no-sandbox", "--disable-gpu",
		"--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+profile)
	command.ExtraFiles = []*os.File{theirs, back}
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		return err
	}
	_, _ = theirs.Close(), back.Close()
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_, _ = to.Close(), from.Close()
	}()
	// A browser that says nothing any more must not hold up the tests.
	stop := context.AfterFunc(ctx, func() { _ = from.Close() })
	defer stop()
	b := &browser{to: to, from: bufio.NewReader(from)}
	if err := b.open(); err != nil {
		return err
	}
	for _, k := range s.kept {
		// The timeline of a running workflow moves all the time; what was recorded is
		// not needed any more. One that has ended cannot be terminated.
		_ = s.client.TerminateWorkflow(ctx, k.workflow, k.run, "a picture is taken of it")
		data, err := b.picture(ctx, s.engine.UI+"/namespaces/default/workflows/"+url.PathEscape(k.workflow)+"/"+k.run+"/timeline")
		if err == nil {
			err = os.WriteFile(filepath.Join(shots, k.path+".png"), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k.path, err)
		}
	}
	return nil
}

// open opens a page that is high enough for the longest history.
func (b *browser) open() error {
	var target struct {
		TargetID string `json:"targetId"`
	}
	if err := b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return err
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if err := b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return err
	}
	b.session = attached.SessionID
	size := map[string]any{"width": 1600, "height": 3600, "deviceScaleFactor": 1, "mobile": false}
	return b.call("Emulation.setDeviceMetricsOverride", size, &struct{}{})
}

// picture takes a picture of the timeline on a page. It fills itself in after it
// is loaded, so it is looked at until it shows one.
func (b *browser) picture(ctx context.Context, page string) ([]byte, error) {
	// What is asked of a page while it changes its process is never answered, so
	// that it has to be there first.
	if err := b.call("Page.navigate", map[string]any{"url": page}, &struct{}{}); err != nil {
		return nil, err
	}
	clip, err := b.timeline(ctx)
	if err != nil {
		return nil, err
	}
	var shot struct {
		Data string `json:"data"`
	}
	// Taking more than the window shows would change its size for a moment, at which
	// the timeline lays itself out anew.
	if err := b.call("Page.captureScreenshot", map[string]any{"format": "png", "clip": clip}, &shot); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(shot.Data)
}

// timeline waits until the page shows the timeline, and returns where.
func (b *browser) timeline(ctx context.Context) (map[string]any, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the page never showed a timeline: %w", ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
		if clip, err := b.evaluate(whereTheTimelineIs); err != nil || clip != nil {
			return clip, err
		}
	}
}

func (b *browser) evaluate(expression string) (map[string]any, error) {
	var seen struct {
		Result struct {
			Value map[string]any `json:"value"`
		} `json:"result"`
	}
	err := b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &seen)
	return seen.Result.Value, err
}

// whereTheTimelineIs answers with the rectangle of the timeline once it has
// stopped growing, and with null before.
const whereTheTimelineIs = `(() => {
	const canvas = document.querySelector("div.canvas");
	if (!canvas) return null;
	window.dispatchEvent(new Event("resize")); // it lays itself out by a width that it may have measured too early
	const r = canvas.parentElement.getBoundingClientRect();
	if (window.before !== r.height) { window.before = r.height; window.since = Date.now(); return null; }
	if (r.height < 100 || Date.now() - window.since < 2500) return null;
	return {x: r.x, y: r.y + window.scrollY, width: r.width, height: r.height, scale: r.height > 1000 ? 0.8 : 1};
})()`

// call sends a command and waits for its answer; what else happens in the
// browser is of no interest.
func (b *browser) call(method string, parameters, result any) error {
	b.last++
	message := map[string]any{"id": b.last, "method": method, "params": parameters}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(data, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		data, err := b.from.ReadBytes(0)
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &answer); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case answer.ID != b.last:
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", method, answer.Error.Message)
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}
