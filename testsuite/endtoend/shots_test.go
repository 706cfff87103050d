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
	"sync"
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

var shooting sync.Mutex // a browser takes the whole machine

// shoot takes a screenshot of an order's timeline in the Temporal UI.
func (b *bundle) shoot(path string, id order.ID) {
	b.t.Helper()
	if shots == "" {
		return
	}
	shooting.Lock()
	defer shooting.Unlock()
	described, err := b.client.DescribeWorkflowExecution(b.t.Context(), workflows.OrderWorkflowID(id), "")
	if err != nil {
		b.t.Fatal(err)
	}
	run := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	page := b.engine.UI + "/namespaces/default/workflows/" + url.PathEscape(workflows.OrderWorkflowID(id)) + "/" + run + "/timeline"
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if err := photograph(ctx, page, filepath.Join(shots, path+".png"), b.t.TempDir()); err != nil {
		b.t.Errorf("take a screenshot of %s: %v", page, err)
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

// photograph takes a picture of a page once it shows a timeline. A page of a
// running workflow never stops loading, so it is looked at rather than awaited.
func photograph(ctx context.Context, page, file, profile string) error {
	theirs, to, err := os.Pipe()
	if err != nil {
		return err
	}
	from, back, err := os.Pipe()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, cmp.Or(os.Getenv("TRUEUP_BROWSER"), "chromium"), "--headless", "--no-sandbox", "--disable-gpu",
		"--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+profile, "--window-size=1600,1000")
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
	// A browser that says nothing any more must not hold up the test.
	stop := context.AfterFunc(ctx, func() { _ = from.Close() })
	defer stop()
	b := &browser{to: to, from: bufio.NewReader(from)}
	data, err := b.picture(ctx, page)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func (b *browser) picture(ctx context.Context, page string) ([]byte, error) {
	var target struct {
		TargetID string `json:"targetId"`
	}
	if err := b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if err := b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	b.session = attached.SessionID
	// What is asked of a page while it changes its process is never answered, so
	// that it has to be there first.
	size := map[string]any{"width": 1600, "height": 1000, "deviceScaleFactor": 1, "mobile": false}
	if err := b.call("Emulation.setDeviceMetricsOverride", size, &struct{}{}); err != nil {
		return nil, err
	}
	if err := b.call("Page.navigate", map[string]any{"url": page}, &struct{}{}); err != nil {
		return nil, err
	}
	var clip map[string]any
	for clip == nil {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the page never showed a timeline: %w", ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
		var seen struct {
			Result struct {
				Value map[string]any `json:"value"`
			} `json:"result"`
		}
		if err := b.call("Runtime.evaluate", map[string]any{"expression": whereTheTimelineIs, "returnByValue": true}, &seen); err != nil {
			return nil, err
		}
		clip = seen.Result.Value
	}
	var shot struct {
		Data string `json:"data"`
	}
	if err := b.call("Page.captureScreenshot", map[string]any{"format": "png", "clip": clip, "captureBeyondViewport": true}, &shot); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(shot.Data)
}

// whereTheTimelineIs answers with the rectangle of the timeline once it has
// stopped growing, and with null before.
const whereTheTimelineIs = `(() => {
	const canvas = document.querySelector("div.canvas");
	if (!canvas) return null;
	const r = canvas.parentElement.getBoundingClientRect();
	if (window.before !== r.height) { window.before = r.height; window.since = Date.now(); return null; }
	if (r.height < 100 || Date.now() - window.since < 1500) return null;
	return {x: r.x, y: r.y + window.scrollY, width: r.width, height: r.height, scale: 1};
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
