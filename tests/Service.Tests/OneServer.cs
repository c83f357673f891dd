using System;
using System.Threading.Tasks;
using Xunit;

namespace Quietus.Service.Tests;

/// <summary>One server for the tests of a class.</summary>
public sealed class OneServer : IAsyncLifetime
{
    public TestServer Server { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Server = await TestServer.StartAsync("good", "--vms", "8");

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}
