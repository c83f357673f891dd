using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Monitoring;
using Quietus.Wire;
using Xunit;

namespace Quietus.Cli.Tests.Jobs;

/// <summary>A machine with one VM, whose end of each stream a test holds.</summary>
internal sealed class PipedMachine
{
    private readonly System.Threading.Channels.Channel<byte[]> _sent =
        System.Threading.Channels.Channel.CreateUnbounded<byte[]>();

    public PipedMachine() => Client = new StreamClient((message, _) =>
    {
        _sent.Writer.TryWrite(message.ToArray());
        return Task.CompletedTask;
    });

    public StreamClient Client { get; }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>A stream that the guest has accepted, with so much credit; and its number.</summary>
    public async Task<(Stream Stream, uint Number)> ConnectAsync(uint limit = 1 << 20)
    {
        Task<Stream> connecting = Client.ConnectAsync(0, 5, JobFrame.Port, Stop);
        uint number = await OpenedAsync();
        Say(StreamKind.Accept, number, limit);
        return (await connecting, number);
    }

    /// <summary>The next message of the host's is an Open: its number.</summary>
    public async Task<uint> OpenedAsync()
    {
        byte[] message = await NextAsync();
        Assert.True(StreamMessage.TryRead(message, out StreamMessage open));
        Assert.Equal(StreamKind.Open, open.Kind);
        return open.Stream;
    }

    public Task<byte[]> NextAsync() =>
        _sent.Reader.ReadAsync(Stop).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Stop);

    public bool TryNext(out byte[]? message) => _sent.Reader.TryRead(out message);

    public void Say(StreamKind kind, uint number, uint limit)
    {
        byte[] message = new byte[32];
        Client.Take(message.AsSpan(0, StreamMessage.WriteLimit(message, 0, kind, number, limit)));
    }

    public void Send(uint number, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            byte[] message = new byte[FrameFormat.MaximumPayload];
            int at = StreamMessage.WriteHeader(message, 0, StreamKind.Data, number);
            int length = Math.Min(data.Length, StreamMessage.MostData);
            data[..length].CopyTo(message.AsSpan(at));
            Client.Take(message.AsSpan(0, at + length));
            data = data[length..];
        }
    }

    public void Reset(uint number, StreamEnd end)
    {
        byte[] message = new byte[32];
        Client.Take(message.AsSpan(0, StreamMessage.WriteReset(message, 0, number, end)));
    }

    /// <summary>A frame of the agent's.</summary>
    public static byte[] Frame(JobKind kind, params byte[] payload)
    {
        byte[] frame = new byte[JobFrame.HeaderBytes + payload.Length];
        JobFrame.WriteHeader(frame, kind, payload.Length);
        payload.CopyTo(frame, JobFrame.HeaderBytes);
        return frame;
    }

    /// <summary>The agent's greeting.</summary>
    public static byte[] Hello(ulong vm = 5, ushort version = JobFrame.Version)
    {
        var to = new PayloadWriter(new byte[16]);
        new JobHello { Version = version, Vm = vm }.Write(ref to);
        return Frame(JobKind.Hello, to.Written.ToArray());
    }

    /// <summary>All data that the host has sent so far, whatever the stream.</summary>
    public byte[] Data()
    {
        var data = new List<byte>();
        while (TryNext(out byte[]? message))
        {
            if (StreamMessage.TryRead(message, out StreamMessage one) && one.Kind == StreamKind.Data)
            {
                data.AddRange(one.Payload);
            }
        }

        return [.. data];
    }
}
