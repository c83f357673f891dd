using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using System.Threading;
using Quietus.Wire;

namespace Quietus.FakeQemu;

/// <summary>The fake's monitor and VMs: one VM at a time, or a template and a child.</summary>
internal sealed partial class FakeMachine(string mode, Stream input, Stream output)
{
    private const int LinesPerPage = 64;
    private readonly byte[] _frame = new byte[FrameFormat.MaximumFrame];
    private byte _sequence;
    private readonly uint[] _taken = new uint[FrameFormat.Slots];
    private bool _framed;
    private bool _started;
    private long _nextVm = 1;
    private long _pages;
    private string _policy = string.Empty;
    private string _guest = string.Empty;
    private bool _poweredOff;
    private bool _hangs;
    private int _exitCode;

    /// <summary>Answers until told to power off, until the input ends, or until it is time to misbehave.</summary>
    public int Run()
    {
        Write("firmware: hello\r\nquietus> "u8);
        byte[] body = new byte[FrameFormat.MaximumBody];
        byte[] received = new byte[4096];
        var decoder = new FrameDecoder();
        int count;
        while (!_poweredOff && (count = input.Read(received)) > 0)
        {
            foreach (byte value in received.AsSpan(0, count))
            {
                if (value == FrameFormat.Delimiter && !_framed)
                {
                    _framed = true;
                    Write([FrameFormat.Delimiter]);
                    Send(Channel.Event, "event=ready");
                }

                if (decoder.Feed(value, body) != DecodeStep.Frame)
                {
                    continue;
                }

                if (decoder.Channel == Channel.Stream)
                {
                    TakeStream(decoder.Payload(body));
                }
                else
                {
                    Take(decoder.Channel, decoder.Payload(body));
                }
            }
        }

        if (!_poweredOff)
        {
            // QEMU does not end when its serial line does.
            Thread.Sleep(Timeout.Infinite);
        }

        return _exitCode;
    }

    private void Take(Channel channel, ReadOnlySpan<byte> payload)
    {
        if (channel == Channel.Console && ConsoleMessage.TryReadSlot(payload, out int slot))
        {
            string typed = Encoding.UTF8.GetString(payload[ConsoleMessage.HeaderBytes..]);
            _taken[slot] += (uint)(payload.Length - ConsoleMessage.HeaderBytes);
            byte[] flow = new byte[FlowMessage.Length];
            FlowMessage.Write(flow, slot, _taken[slot]);
            Send(Channel.Flow, Encoding.Latin1.GetString(flow));
            if (_hangs)
            {
                return;
            }

            if (slot == ChildSlot)
            {
                TypeIntoChild(typed);
                return;
            }

            SendConsole(0, "echo:" + typed);
            End(typed.TrimEnd('\n', '\x04').Split('\n')[^1]);

            return;
        }

        if (channel != Channel.Monitor)
        {
            return;
        }

        string text = Encoding.UTF8.GetString(payload);
        if (Environment.GetEnvironmentVariable("FAKE_QEMU_ORDERS") is string log)
        {
            File.AppendAllText(log, text + "\n");
        }

        switch (text.Split(' ')[0])
        {
            case "version":
                int protocol = mode == "other-protocol" ? 9 : FrameFormat.Protocol;
                Reply($"ok name=quietus version=0.1.0 protocol={protocol}");
                break;
            case "machine":
                DescribeMachine();
                break;
            case "create":
                Create(text);
                break;
            case "start":
                Reply($"ok {Vm}");
                _started = true;
                Start();
                break;
            case "measure":
                for (int report = 0; mode == "floods" && report < 10_100; report++)
                {
                    Send(Channel.Event, $"event=report {Vm} kind=99 value=1");
                }

                Reply(string.Create(
                    CultureInfo.InvariantCulture,
                    $"ok {Vm} exits={_pages + 10} hvc_exits=10 fault_exits={_pages} "
                        + $"map_calls={_pages} map_instructions={_pages * 80} irq_exits=0 mmio_exits=0 "
                        + $"sysreg_exits={0} first_entry_virtual_ns=3104 last_output_virtual_ns=23679168 "
                        + $"owned_bytes=24576"));
                break;
            case "list" when HasAgent:
                ListAgents();
                break;
            case "list":
                Reply($"- {Vm} slot=0 state=running cpus=2 weight=300 cores=1,2 cpu_ns=3200000000 waited_ns=40000000");
                Reply("ok count=1");
                break;
            case "cores":
                Reply("- core=0 runs=monitor waiting=0 busy_ns=0 taken=0");
                Reply($"- core=1 runs=vcpu {Vm} vcpu=0 waiting=0 busy_ns=3000000000 taken=0");
                Reply("- core=2 runs=nothing waiting=0 busy_ns=200000000 taken=1");
                Reply("ok count=3 now_ns=4000000000");
                break;
            case "memory":
                Reply(string.Create(
                    CultureInfo.InvariantCulture,
                    $"ok used_bytes=0 vmid_rollovers=0 "
                        + $"free_bytes={314572800 - (mode == "loses-chunks" && _nextVm > 1 ? 2097152 : 0)} "
                        + $"refused_frees={(mode == "frees-twice" && _nextVm > 1 ? 5 : 0)} misplaced_chunks=0"));
                break;
            case "chunks":
                MapAgents();
                break;
            case "scrub":
                Reply("ok scrubbed_chunks=128 scrub_zero_instructions=4325376 scrub_clean_instructions=8912896 "
                    + "scrub_dc_lines=4194304");
                break;
            case "freeze":
                Reply("ok " + BirthFigures);
                break;
            case "fork":
                Fork(text);
                break;
            case "reset" when HasAgent:
                Reply("ok " + BirthFigures);
                EndAgents(Number(text), StreamEnd.WasReset, staysAlive: true);
                break;
            case "reset":
                Reply("ok " + BirthFigures);
                LiveAsChild(string.Empty);
                break;
            case "kill" when HasAgent && !_agentVms.ContainsKey(Number(text)):
                Reply("error code=no-such-vm message=\"there is no such VM\"");
                break;
            case "kill":
            case "unmap":
                if (HasAgent)
                {
                    EndAgents(Number(text), StreamEnd.Ended);
                }

                Die(text.Split(' ')[0]);
                break;
            case "off":
                Reply("ok");
                _poweredOff = true;
                break;
            default:
                Reply("error code=unknown-command message=\"unknown command\"");
                break;
        }
    }

    /// <summary>The ends of a guest, by what is typed.</summary>
    private void End(string typed, int slot = 0)
    {
        const string Panic = "[    1.652433] Kernel panic - not syncing: crash\r\n[    1.653] Call trace:\r\n";
        switch (typed)
        {
            case "poweroff":
                Send(Channel.Event, Stopped("guest power-off"));
                break;
            case "reboot":
                SendConsole(slot, Panic + "[    2.0] reboot: Restarting system\r\n");
                Send(Channel.Event, Stopped("guest reset"));
                break;
            case "panic":
                SendConsole(slot, Panic);
                Send(Channel.Event, Stopped("guest reset"));
                break;
            case "hang":
                _hangs = true;
                SendConsole(slot, Panic + "---[ end Kernel panic - not syncing: crash ]---\r\n");
                break;
            default:
                break;
        }
    }

    private string Vm => string.Create(CultureInfo.InvariantCulture, $"vm={_nextVm - 1}");

    private void Create(string text)
    {
        if (mode == "refuses")
        {
            Reply("error code=out-of-memory message=\"not enough free \\\"chunks\\\"\"");
            return;
        }

        if (mode == "no-granule")
        {
            Reply("error code=bad-page-size message=\"the kernel is built for a page size that is not there\"");
            return;
        }

        Dictionary<string, string> values = [];
        foreach (string word in text.Split(' '))
        {
            if (word.Split('=', 2) is [string key, string value])
            {
                values.TryAdd(key, value);
            }
        }

        _append = text;
        _pages = long.Parse(values["memory"], CultureInfo.InvariantCulture) / 4096 * 9 / 10;
        _policy = values["policy"];
        _guest = values["guest"];
        if (HasAgent)
        {
            _agentVms[_nextVm] = 0;
        }

        _nextVm++;
        _started = false;
        if (mode == "slow")
        {
            Thread.Sleep(10);
        }

        Reply($"ok {Vm} slot=0 instructions=73747 random={(mode == "no-entropy" ? "none" : "on")}");
    }

    private void Start()
    {
        switch (mode)
        {
            case "dies-midway":
                Console.Error.WriteLine("qemu: fatal: Trying to execute code outside RAM or ROM");
                _poweredOff = true;
                _exitCode = 134;
                return;
            case "hangs-midway":
            case "hangs-late" when _nextVm > 3:
                return;
            case "panics":
                Send(Channel.Panic, "panic: synchronous exception at EL2");
                Send(Channel.Panic, "  ESR_EL2 0x96000045  FAR_EL2 0xdead0000");
                Send(Channel.Panic, "  at Quietus.Hypervisor.Cores.Run");
                return;
            case "guest-faults":
                Send(Channel.Event, Stopped("stage 2 abort outside every slot"));
                return;
            case "guest-finds-bytes":
                Send(Channel.Event, $"event=report {Vm} kind=3 value=1073745920");
                return;
            case "loses-frames":
                _sequence += 3;
                break;
            case "garbage":
                byte[] garbage = new byte[5000];
                new Random(5).NextBytes(garbage);
                SendConsole(0, Encoding.Latin1.GetString(garbage.AsSpan(0, 400)));
                break;
            case "damage":
                Write("this is no frame\0"u8);
                break;
            default:
                break;
        }

        if (_append.Contains("freeze=yes", StringComparison.Ordinal))
        {
            Send(Channel.Event, $"event=state {Vm} state=frozen {BirthFigures}");
        }
        else if (_append.Contains("fill=0 ", StringComparison.Ordinal))
        {
            ReportTurns();
        }
        else if (_guest == "linux" && mode == "shell")
        {
            SendConsole(0, "[    0.000000] Booting Linux\r\nquietus-guest: shell re");
            SendConsole(0, "ady\r\n\r\n/ # ");
        }
        else if (_guest == "linux")
        {
            SendConsole(0, "[    0.000000] Booting Linux\r\nquietus-guest: dirt");
            SendConsole(0, "ied 200 MB\r\n");
        }
        else
        {
            SendConsole(0, "filler: hello\r\n");
            if (mode == "reports-anything")
            {
                Send(Channel.Event, $"event=report {Vm} kind={ulong.MaxValue} value={ulong.MaxValue}");
            }

            Send(Channel.Event, $"event=report {Vm} kind=4 value=122000");
            Send(Channel.Event, $"event=report {Vm} kind=5 value=312500");
            Send(Channel.Event, string.Create(
                CultureInfo.InvariantCulture, $"event=report {Vm} kind=1 value={_pages * 4096}"));
        }
    }

    private void Die(string way)
    {
        if (mode == "dies-at-kill")
        {
            _poweredOff = true;
            _exitCode = 1;
            return;
        }

        Reply("ok " + Figures(way));
    }

    private string Stopped(string reason) =>
        $"event=state {Vm} state=stopped reason=\"{reason}\" "
            + Figures("self").Replace(Vm + " ", string.Empty, StringComparison.Ordinal);

    private string Figures(string way)
    {
        long perPage = _policy == "before-series" ? 1 : 0;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Vm} way={way} policy={_policy} mapped_pages_4k={_pages} mapped_blocks_2m=0 "
                + $"instructions={(_policy == "fate" ? 900 : _pages * (40 + (perPage * 260)))} stop_instructions=120 "
                + $"tlbi_ipa={perPage * _pages} tlbi_range=0 tlbi_vmid={1 - perPage} tlbi_vmalle1={perPage * _pages} "
                + $"first_entry_virtual_ns={(_started ? 3904 : 0)} fill_virtual_ns={(_started ? _pages * 1024 : 0)} "
                + $"dc_lines={perPage * _pages * LinesPerPage} dsb={(perPage * _pages * 3) + 2} virtual_ns=1000 "
                + $"freed_bytes={_pages * 4096} leaked_frames={(mode == "leaks" ? 3 : 0)}");
    }

    private void Reply(string line) => Send(Channel.Monitor, line);

    private void Send(Channel channel, string text) => SendBytes(channel, Encoding.Latin1.GetBytes(text));

    private void SendBytes(Channel channel, ReadOnlySpan<byte> payload)
    {
        lock (_frame)
        {
            int length = new FrameEncoder(channel, _sequence++, payload).WriteTo(_frame);
            Write(_frame.AsSpan(0, length));
        }
    }

    private void SendConsole(int slot, string text)
    {
        byte[] message = [0, 0, .. Encoding.Latin1.GetBytes(text)];
        ConsoleMessage.WriteSlot(message, slot);
        Send(Channel.Console, Encoding.Latin1.GetString(message));
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        output.Write(bytes);
        output.Flush();
    }
}
