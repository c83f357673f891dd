using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Quietus.Wire;

namespace Quietus.FakeQemu;

/// <summary>
/// VMs with an agent: each stream to port 1 is a <see cref="FakeAgent"/>, whose programs run on this host.
/// </summary>
internal sealed partial class FakeMachine
{
    private readonly ConcurrentDictionary<(int Slot, uint Stream), FakeAgent> _agents = new();
    private readonly Dictionary<long, int> _agentVms = [];
    private int _refusals;

    /// <summary>The guest was started to run programs in.</summary>
    private bool HasAgent => _append.Contains("/.quietus/", StringComparison.Ordinal);

    public string Mode => mode;

    /// <summary>Sends a message on the stream channel.</summary>
    public void SendStream(ReadOnlySpan<byte> message) => SendBytes(Channel.Stream, message);

    /// <summary>The agent has asked for the freeze.</summary>
    public void Freeze(int slot) =>
        Send(Channel.Event, $"event=state vm={VmIn(slot)} state=frozen {BirthFigures[5..]}");

    /// <summary>The VM ends by itself, under whatever runs in it.</summary>
    public void EndVm(int slot, string reason)
    {
        long vm = VmIn(slot);
        Send(Channel.Event, $"event=state vm={vm} state=stopped reason=\"{reason}\" "
            + Figures("self").Replace(Vm + " ", string.Empty, StringComparison.Ordinal));
        EndAgents(vm, StreamEnd.Ended);
    }

    /// <summary>QEMU dies.</summary>
    public static void Die() => Environment.Exit(134);

    private long VmIn(int slot) => _agentVms.First(pair => pair.Value == slot).Key;

    private void TakeStream(ReadOnlySpan<byte> payload)
    {
        if (!StreamMessage.TryRead(payload, out StreamMessage message))
        {
            return;
        }

        (int Slot, uint Stream) key = (message.Slot, message.Stream);
        if (message.Kind == StreamKind.Open)
        {
            Open(key, in message);
        }
        else if (_agents.TryGetValue(key, out FakeAgent? agent))
        {
            agent.Take(in message);
            if (message.Kind == StreamKind.Reset)
            {
                _agents.TryRemove(key, out _);
            }
        }
    }

    private void Open((int Slot, uint Stream) key, in StreamMessage message)
    {
        // A guest that boots has no driver at first, then no agent.
        StreamEnd? refusal = !_agentVms.TryGetValue((long)message.Vm, out int slot) || slot != key.Slot ? StreamEnd.NoVm
            : _refusals++ switch
            {
                0 => StreamEnd.NoDevice,
                1 => StreamEnd.ByGuest,
                _ => null,
            };
        byte[] answer = new byte[32];
        if (refusal is { } end)
        {
            SendStream(answer.AsSpan(0, StreamMessage.WriteReset(answer, key.Slot, key.Stream, end)));
            return;
        }

        SendStream(answer.AsSpan(0, StreamMessage.WriteLimit(
            answer, key.Slot, StreamKind.Accept, key.Stream, FakeAgent.Window)));
        _agents[key] = new FakeAgent(this, key.Slot, key.Stream, message.Vm, message.Limit);
    }

    private void ForkWithAgent()
    {
        long vm = _nextVm++;
        int slot = Enumerable.Range(1, 15).First(free => !_agentVms.ContainsValue(free));
        _agentVms[vm] = slot;
        Reply($"- vm={vm} slot={slot}\nok template=1 count=1 instructions=3104");
    }

    private void ListAgents()
    {
        foreach ((long vm, int slot) in _agentVms)
        {
            Reply(string.Create(
                CultureInfo.InvariantCulture,
                $"- vm={vm} slot={slot} state=running cpus=1 cpu_ns={Environment.TickCount64 * 100_000} waited_ns=0 "
                    + $"memory_bytes=268435456 held_bytes={(vm % 7) << 21}"));
        }

        Reply($"ok count={_agentVms.Count}");
    }

    /// <summary>Free memory, and three chunks of each VM's in it.</summary>
    private void MapAgents()
    {
        int at = 0;
        foreach (long vm in _agentVms.Keys)
        {
            Run(40, "clean");
            Run(3, $"vm vm={vm}");
            Run(2, "dirty");
        }

        Run(700 - at, "clean");
        Reply($"ok chunks={at} next={at}");

        void Run(int count, string use)
        {
            Reply($"- chunk={at} count={count} use={use}");
            at += count;
        }
    }

    private void EndAgents(long vm, StreamEnd end, bool staysAlive = false)
    {
        if (!_agentVms.TryGetValue(vm, out int slot))
        {
            return;
        }

        if (!staysAlive)
        {
            _agentVms.Remove(vm);
        }

        byte[] message = new byte[32];
        foreach (((int Slot, uint Stream) key, FakeAgent agent) in _agents)
        {
            if (key.Slot == slot && _agents.TryRemove(key, out _))
            {
                agent.End();
                SendStream(message.AsSpan(0, StreamMessage.WriteReset(message, key.Slot, key.Stream, end)));
            }
        }
    }

    private static long Number(string order) => long.Parse(order[(order.IndexOf("vm=", StringComparison.Ordinal) + 3)..]
        .Split(' ')[0], CultureInfo.InvariantCulture);
}
