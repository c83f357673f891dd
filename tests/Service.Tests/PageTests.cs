using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;
using Quietus.Cli.Processes;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>
/// The page, in a real browser: Debian's chromium, driven by Playwright. QUIETUS_SCREENSHOTS names a folder that gets
/// pictures of it.
/// </summary>
public sealed class PageTests : IAsyncLifetime
{
    private const string Token = "0123456789abcdef-secret";
    private const float Patience = 120_000;

    private readonly List<string> _elsewhere = [];
    private readonly List<string> _errors = [];
    private readonly string? _chromium = Programs.Find("chromium");
    private Command? _files;
    private TestServer _server = null!;
    private IPlaywright _playwright = null!;
    private IBrowser _browser = null!;
    private IPage _page = null!;
    private string _address = string.Empty;

    public async ValueTask InitializeAsync()
    {
        if (_chromium is null)
        {
            return;
        }

        _files = FakeGuest.Install(new Command());
        string token = _files.WriteFile("token", "0123456789abcdef-secret\n"u8.ToArray());
        string port = FreePort();
        _address = $"http://{port}/";
        _server = new TestServer("good", "--listen", port, "--token-file", token);
        Command.Wait(() => _server.Said.Contains("is ready", StringComparison.Ordinal), "it is not ready");
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = _chromium,
            Args = ["--no-sandbox", "--disable-gpu"],
            Timeout = Patience,
        });
    }

    public async ValueTask DisposeAsync()
    {
        if (_chromium is null)
        {
            return;
        }

        await _browser.DisposeAsync();
        _playwright.Dispose();
        await _server.DisposeAsync();
        _files!.Dispose();
    }

    [Fact]
    public async Task A_person_makes_a_VM_uses_its_terminal_and_kills_it()
    {
        await OpenAsync(1200, 900, ColorScheme.Light);
        await Button("New VM of busybox").ClickAsync();
        await VmText("born of busybox");
        await TextOf("births", "1");
        await TextOf("alive", "1");
        await _page.GetByText("VM 1: 3", new() { Exact = true }).WaitForAsync();
        (await _page.Locator("canvas").GetAttributeAsync("aria-label"))!.ShouldContain("VM 1 3");

        await Button("Terminal VM 1").ClickAsync();
        await _page.GetByText("Tab and Escape go to the program").WaitForAsync();
        await _page.Keyboard.TypeAsync("echo a$((40+2))b");
        await _page.Keyboard.PressAsync("Enter");
        await _page.Locator(".xterm-rows").GetByText("a42b").First.WaitForAsync();
        await PictureAsync("terminal");
        await _page.Keyboard.PressAsync("F6");
        await _page.Keyboard.PressAsync("Enter");
        (await _page.EvaluateAsync<string>("document.activeElement.getAttribute('aria-label')"))
            .ShouldBe("Terminal VM 1");

        await Button("Freeze VM 1").ClickAsync();
        await _page.Locator("#vms .state", new() { HasTextString = "frozen" }).WaitForAsync();
        await Button("Fork VM 1").ClickAsync();
        await VmText("born of VM 1");
        await PictureAsync("light");
        await Button("Reset VM 2").ClickAsync();
        await _page.Locator("#said", new() { HasTextString = "VM 2 is as at its birth" }).WaitForAsync();
        await Button("Kill VM 2").ClickAsync();
        await Button("Kill VM 1").ClickAsync();
        await TextOf("deaths", "2");
        await TextOf("alive", "0");
        (await _page.Locator("#vms > li").CountAsync()).ShouldBe(0);
        _elsewhere.ShouldBeEmpty();
        _errors.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(400, ColorScheme.Light)]
    [InlineData(400, ColorScheme.Dark)]
    [InlineData(1600, ColorScheme.Dark)]
    public async Task It_fits_and_can_be_read_by_eyes_and_by_screen_readers(int width, ColorScheme colours)
    {
        await OpenAsync(width, 800, colours);
        using Process job = _server.Cli.Start(
            "exec", "--server", new Uri(_address).Authority, "--token-file", _files!.PathOf("token"), "--", "sleep",
            "607");
        await VmText("a job's, born of busybox");

        // By keys alone.
        await Button("New VM of busybox").FocusAsync();
        await _page.Keyboard.PressAsync("Enter");
        await Button("Terminal VM 2").FocusAsync();
        await _page.Keyboard.PressAsync("Tab");
        (await _page.EvaluateAsync<string>("document.activeElement.getAttribute('aria-label')"))
            .ShouldBe("Freeze VM 2");
        await TextOf("alive", "2");
        (await _page.EvaluateAsync<int>("document.documentElement.scrollWidth")).ShouldBeLessThanOrEqualTo(width);
        AxeResult result = await _page.RunAxe();
        result.Violations.Select(violation =>
            $"{violation.Id}: {string.Join(' ', violation.Nodes.Select(node => node.Html))}").ShouldBeEmpty();
        await PictureAsync($"{colours}-{width}");

        await Button("Terminal VM 2").ClickAsync();
        await _page.GetByText("Tab and Escape go to the program").WaitForAsync();
        (await _page.EvaluateAsync<int>("document.documentElement.scrollWidth")).ShouldBeLessThanOrEqualTo(width);
        await PictureAsync($"{colours}-{width}-terminal");
        job.Kill();
        _errors.ShouldBeEmpty();
    }

    private async Task OpenAsync(int width, int height, ColorScheme colours)
    {
        Assert.SkipWhen(_chromium is null, "chromium is not installed: apt-get install chromium");
        IBrowserContext context = await _browser.NewContextAsync(new BrowserNewContextOptions
        {
            ViewportSize = new ViewportSize { Width = width, Height = height },
            ColorScheme = colours,
        });
        context.SetDefaultTimeout(Patience);
        _page = await context.NewPageAsync();
        _page.Request += (_, request) =>
        {
            if (!request.Url.StartsWith(_address, StringComparison.Ordinal)
                && !request.Url.StartsWith("data:", StringComparison.Ordinal))
            {
                _elsewhere.Add(request.Url);
            }
        };
        _page.PageError += (_, error) => _errors.Add(error);
        await _page.GotoAsync(_address);
        await _page.GetByLabel("Token").FillAsync(Token);
        await Button("Use it").ClickAsync();
        await _page.Locator("#templates .state", new() { HasTextString = "ready" }).WaitForAsync();
    }

    private ILocator Button(string name) =>
        _page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    private Task VmText(string text) =>
        _page.Locator("#vms").GetByText(text, new() { Exact = true }).First.WaitForAsync();

    private Task TextOf(string id, string text) =>
        _page.Locator($"#{id}", new() { HasTextRegex = new($"^{text}$") }).WaitForAsync();

    private async Task PictureAsync(string name)
    {
        if (Environment.GetEnvironmentVariable("QUIETUS_SCREENSHOTS") is { Length: > 0 } folder)
        {
            await _page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, name + ".png") });
        }
    }

    private static string FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return probe.LocalEndpoint.ToString()!;
    }
}
