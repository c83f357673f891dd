using System;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices.Virtio;

// The link's side: what a program there orders, and what it is told (docs/protocol.md).
public partial struct VirtioVsock
{
    /// <summary>Whether the host is to be told something: <see cref="TryGiveHost"/>.</summary>
    public readonly bool HasForHost
    {
        get
        {
            for (int i = 0; i < MostStreams; i++)
            {
                if (_streams[i].HasForHost)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>The host opens a stream. False, with why, when it cannot be.</summary>
    public bool TryOpen(in StreamMessage message, out StreamEnd end)
    {
        end = StreamEnd.TooMany;
        if (!Transport.IsRunning)
        {
            end = StreamEnd.NoDevice;
            return false;
        }

        int free = -1;
        for (int i = 0; i < MostStreams; i++)
        {
            if (_streams[i].State == VsockState.None)
            {
                free = i;
            }
            else if (_streams[i].Number == message.Stream)
            {
                return false;
            }
        }

        if (free < 0 || message.Stream < StreamMessage.FirstStream)
        {
            return false;
        }

        _streams[free] = new VsockStream
        {
            State = VsockState.Asked,
            ForGuest = VsockNews.Begin,
            Number = message.Stream,
            Port = message.Port,
            HostLimit = message.Limit,
            Window = message.Limit,
        };
        Transport.Notify(ReceiveQueue);
        return true;
    }

    /// <summary>
    /// The host says something of a stream that it opened. Of one that is gone, or over, nothing is heard.
    /// </summary>
    public void TakeFromHost(ref VsockBuffers buffers, in StreamMessage message)
    {
        int index = FindNumber(message.Stream);
        if (index < 0)
        {
            return;
        }

        ref VsockStream stream = ref _streams[index];
        switch (message.Kind)
        {
            case StreamKind.Data:
                TakeData(ref buffers, index, message.Payload);
                break;
            case StreamKind.Credit:
                if (FlowMessage.IsLater(message.Limit, stream.HostLimit))
                {
                    stream.HostLimit = message.Limit;
                    stream.ForGuest |= stream.State == VsockState.Open ? VsockNews.Credit : VsockNews.None;
                }

                break;
            case StreamKind.Shut when stream.State == VsockState.Open:
                stream.ForGuest |= VsockNews.Shut;
                break;
            case StreamKind.Reset:
                // A guest that was not asked yet needs no word.
                stream.Close(stream.IsAskedFor ? VsockNews.None : VsockNews.Reset, VsockNews.None, StreamEnd.Closed);
                UnblockTransmit();
                break;
            default:
                break;
        }

        Transport.Notify(ReceiveQueue);
    }

    /// <summary>
    /// The next message for the host, a stream after the other. False when there is none.
    /// </summary>
    /// <param name="buffers">The VM's.</param>
    /// <param name="slot">The VM's slot.</param>
    /// <param name="message">Gets it: <see cref="FrameFormat.MaximumPayload"/> bytes.</param>
    /// <param name="length">How long it is.</param>
    public bool TryGiveHost(ref VsockBuffers buffers, int slot, scoped Span<byte> message, out int length)
    {
        length = 0;
        for (int i = 0; i < MostStreams && length == 0; i++)
        {
            int index = (_nextForHost + i) % MostStreams;
            if (_streams[index].HasForHost)
            {
                length = GiveHost(ref buffers, index, slot, message);
                _nextForHost = (index + 1) % MostStreams;
            }
        }

        return length != 0;
    }

    /// <summary>All streams are over, for this reason: the host is told, after what waits for it.</summary>
    public void EndAll(StreamEnd end)
    {
        for (int i = 0; i < MostStreams; i++)
        {
            ref VsockStream stream = ref _streams[i];
            if (stream.State is VsockState.Asked or VsockState.Open)
            {
                stream.Close(VsockNews.None, VsockNews.Reset, end);
            }
            else if (stream.State == VsockState.Over)
            {
                stream.ForGuest = VsockNews.None;
                stream.FreeIfTold();
            }
        }
    }

    /// <summary>The program at the link is gone, and its streams with it: the guest is told.</summary>
    public void Abandon()
    {
        for (int i = 0; i < MostStreams; i++)
        {
            ref VsockStream stream = ref _streams[i];
            if (stream.State is VsockState.Asked or VsockState.Open)
            {
                stream.Close(stream.IsAskedFor ? VsockNews.None : VsockNews.Reset, VsockNews.None, StreamEnd.Closed);
            }
            else if (stream.State == VsockState.Over)
            {
                stream.Close(stream.ForGuest, VsockNews.None, StreamEnd.Closed);
            }
        }

        UnblockTransmit();
        Transport.Notify(ReceiveQueue);
    }

    private int GiveHost(ref VsockBuffers buffers, int index, int slot, scoped Span<byte> message)
    {
        ref VsockStream stream = ref _streams[index];
        uint number = stream.Number;
        if ((stream.ForHost & VsockNews.Begin) != 0 || stream.OwesHostCredit)
        {
            StreamKind kind = (stream.ForHost & VsockNews.Begin) != 0 ? StreamKind.Accept : StreamKind.Credit;
            stream.ForHost &= ~VsockNews.Begin;
            stream.Told = stream.Limit;
            return StreamMessage.WriteLimit(message, slot, kind, number, stream.Told);
        }

        if (stream.WaitingForHost != 0)
        {
            int at = StreamMessage.WriteHeader(message, slot, StreamKind.Data, number);
            int most = (int)Math.Min(stream.WaitingForHost, StreamMessage.MostData);
            Span<byte> bytes = buffers.ToHost(index, stream.Given, most);
            bytes.CopyTo(message.Slice(at));
            stream.Given += (uint)bytes.Length;
            stream.FreeIfTold();
            UnblockTransmit();
            return at + bytes.Length;
        }

        if ((stream.ForHost & VsockNews.Shut) != 0)
        {
            stream.ForHost &= ~VsockNews.Shut;
            return StreamMessage.WriteHeader(message, slot, StreamKind.Shut, number);
        }

        int length = StreamMessage.WriteReset(message, slot, number, stream.End);
        stream.ForHost = VsockNews.None;
        stream.FreeIfTold();
        return length;
    }

    private void TakeData(ref VsockBuffers buffers, int index, ReadOnlySpan<byte> data)
    {
        ref VsockStream stream = ref _streams[index];
        if (stream.State != VsockState.Open || (uint)data.Length > stream.Told - stream.Received)
        {
            if (stream.State != VsockState.Over)
            {
                stream.Close(VsockNews.Reset, VsockNews.Reset, StreamEnd.Broken);
            }

            return;
        }

        while (!data.IsEmpty && !stream.GuestIsDeaf)
        {
            Span<byte> to = buffers.ToGuest(index, stream.Received, data.Length);
            data.Slice(0, to.Length).CopyTo(to);
            stream.Received += (uint)to.Length;
            data = data.Slice(to.Length);
        }

        stream.Received += (uint)data.Length;
        stream.Delivered += (uint)data.Length;
    }

    private readonly int FindNumber(uint number)
    {
        for (int i = 0; i < MostStreams; i++)
        {
            if (_streams[i].State is VsockState.Asked or VsockState.Open && _streams[i].Number == number)
            {
                return i;
            }
        }

        return -1;
    }
}
