package virtual_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// asMain lets this test binary be a program that calls virtual.Main.
const asMain = "TRUEUP_VIRTUAL_MAIN"

func TestMain(m *testing.M) {
	switch as := os.Getenv(asMain); as {
	case "":
		os.Exit(m.Run())
	case "fails":
		virtual.Main(func(t *testing.T) int { t.Error("it failed"); return 0 })
	case "goes":
		virtual.Main(func(t *testing.T) int { t.FailNow(); return 0 })
	default:
		virtual.Main(func(t *testing.T) int {
			began := time.Now()
			virtual.Bubble(t, func(*testing.T) { time.Sleep(time.Hour) })
			if time.Since(began) > time.Minute {
				return 9
			}
			code, _ := strconv.Atoi(as)
			return code
		})
	}
}

func TestMain_EndsWithTheCode(t *testing.T) {
	for as, want := range map[string]int{"0": 0, "7": 7, "fails": 1, "goes": 1} {
		c := exec.Command(os.Args[0], "-no-flag-of-tests", "file.yaml")
		c.Env = append(os.Environ(), asMain+"="+as)
		err := c.Run()
		code := 0
		if exited, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exited.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Errorf("%s ended with %d, want %d", as, code, want)
		}
	}
}
