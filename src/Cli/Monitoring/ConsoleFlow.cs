using System;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Wire;

namespace Quietus.Cli.Monitoring;

/// <summary>
/// The host's count of console bytes by slot (<see cref="FlowMessage"/>): how many more a guest has room for, and when
/// the machine should hear that its output has been taken.
/// </summary>
internal sealed class ConsoleFlow
{
    /// <summary>Output is acknowledged in portions: a message for each byte would fill the wire.</summary>
    private const uint Portion = FlowMessage.OutputWindow / 4;

    private readonly Lock _lock = new();
    private readonly uint[] _sent = new uint[FrameFormat.Slots];
    private readonly uint[] _guestTook = new uint[FrameFormat.Slots];
    private readonly uint[] _read = new uint[FrameFormat.Slots];
    private readonly uint[] _told = new uint[FrameFormat.Slots];
    private TaskCompletionSource _news = New();

    /// <summary>Waits until a slot has room for input, and takes up to so many bytes of it.</summary>
    public async Task<int> ReserveAsync(int slot, int wanted, CancellationToken cancellation)
    {
        while (true)
        {
            Task news;
            lock (_lock)
            {
                int room = (int)FlowMessage.Room(_sent[slot], _guestTook[slot], FlowMessage.InputWindow);
                if (room > 0)
                {
                    int granted = Math.Min(room, wanted);
                    _sent[slot] += (uint)granted;
                    return granted;
                }

                news = _news.Task;
            }

            await news.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>The machine says what guests have taken.</summary>
    public void Take(ReadOnlySpan<byte> payload)
    {
        if (!FlowMessage.TryRead(payload, out FlowMessage flow))
        {
            return;
        }

        TaskCompletionSource news;
        lock (_lock)
        {
            if (!FlowMessage.IsLater(flow.Total, _guestTook[flow.Slot]))
            {
                return;
            }

            _guestTook[flow.Slot] = flow.Total;
            news = _news;
            _news = New();
        }

        news.TrySetResult();
    }

    /// <summary>Output has been taken; the message that the machine should get now, or null.</summary>
    public byte[]? Read(int slot, int bytes)
    {
        lock (_lock)
        {
            _read[slot] += (uint)bytes;
            if (_read[slot] - _told[slot] < Portion)
            {
                return null;
            }

            _told[slot] = _read[slot];
        }

        byte[] message = new byte[FlowMessage.Length];
        FlowMessage.Write(message, slot, _told[slot]);
        return message;
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
