using System;
using System.Globalization;
using Quietus.Wire;

namespace Quietus.FakeQemu;

/// <summary>Templates and their children: the filler's report what a child measures, Linux' have a shell.</summary>
internal sealed partial class FakeMachine
{
    private const int ChildSlot = 1;

    private string _append = string.Empty;

    private string BirthFigures => string.Create(
        CultureInfo.InvariantCulture,
        $"{Vm} mapped_pages_4k={_pages} mapped_blocks_2m=0 instructions={_pages * 146} stop_instructions=120 "
            + $"tlbi_ipa=0 tlbi_range=0 tlbi_vmid=1 tlbi_vmalle1=0 dc_lines=0 dsb=2 freed_bytes=0 owned_bytes=24576");

    private void Fork(string order)
    {
        if (mode == "refuses-births")
        {
            Reply("error code=out-of-memory message=\"there is no chunk for a child\"");
            return;
        }

        if (HasAgent)
        {
            ForkWithAgent();
            return;
        }

        if (ForkMany(order))
        {
            return;
        }

        long template = _nextVm - 1;
        _nextVm++;
        Reply($"- {Vm} slot={ChildSlot}\nok template={template} count=1 instructions=3104");
        LiveAsChild(order);
    }

    private void LiveAsChild(string order)
    {
        if (_guest == "linux")
        {
            if (order.Contains("text=", StringComparison.Ordinal))
            {
                SendConsole(ChildSlot, "born-42\r\n/ # ");
            }

            return;
        }

        if (_append.Contains("shared=measure", StringComparison.Ordinal))
        {
            Send(Channel.Event, $"event=report {Vm} kind=9 value=1872000");
            Send(Channel.Event, $"event=report {Vm} kind=10 value=1574000");
            Send(Channel.Event, $"event=report {Vm} kind=11 value=949500");
            SendConsole(ChildSlot, "filler: done\r\n");
        }
        else
        {
            int kind = _append.Contains("shared=read", StringComparison.Ordinal) ? 8 : 7;
            Send(Channel.Event, $"event=report {Vm} kind={kind} value=1");
        }
    }

    /// <summary>A shell: it says what was typed, with the child's number, and Ctrl-D ends it.</summary>
    private void TypeIntoChild(string text)
    {
        SendConsole(ChildSlot, $"{Vm}:{text.TrimEnd('\x04')}/ # ");
        End(text.TrimEnd('\n', '\r', '\x04').Split('\n')[^1], ChildSlot);
        if (text.EndsWith('\x04') && !_hangs)
        {
            Send(Channel.Event, Stopped("guest power-off"));
        }
    }
}
