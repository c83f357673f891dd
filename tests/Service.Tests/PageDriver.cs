using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Microsoft.Playwright;
using Quietus.Cli.Processes;
using Xunit;

namespace Quietus.Service.Tests;

/// <summary>
/// The page in a real browser: Debian's chromium, driven by Playwright. QUIETUS_SCREENSHOTS names a folder that gets
/// pictures of it.
/// </summary>
internal sealed class PageDriver : IAsyncDisposable
{
    private const float Patience = 300_000;

    private readonly string _address;
    private readonly IPlaywright _playwright;
    private readonly IBrowser _browser;

    private PageDriver(string address, IPlaywright playwright, IBrowser browser)
    {
        _address = address;
        _playwright = playwright;
        _browser = browser;
    }

    internal static string? Chromium { get; } = Programs.Find("chromium");

    internal IPage Page { get; private set; } = null!;

    /// <summary>Requests that went elsewhere.</summary>
    internal List<string> Elsewhere { get; } = [];

    /// <summary>What scripts threw.</summary>
    internal List<string> Errors { get; } = [];

    /// <summary>Starts the browser; the test is skipped where there is none.</summary>
    /// <param name="address">The page's.</param>
    internal static async Task<PageDriver> StartAsync(string address)
    {
        Assert.SkipWhen(Chromium is null, "chromium is not installed: apt-get install chromium");
        IPlaywright playwright = await Playwright.CreateAsync();
        IBrowser browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = Chromium,
            Args = ["--no-sandbox", "--disable-gpu"],
            Timeout = Patience,
        });
        return new PageDriver(address, playwright, browser);
    }

    /// <summary>Opens the page in a window of its own, and shows the token.</summary>
    internal async Task OpenAsync(int width, int height, ColorScheme colours, string token)
    {
        IBrowserContext context = await _browser.NewContextAsync(new BrowserNewContextOptions
        {
            ViewportSize = new ViewportSize { Width = width, Height = height },
            ColorScheme = colours,
        });
        context.SetDefaultTimeout(Patience);
        Page = await context.NewPageAsync();
        Page.Request += (_, request) =>
        {
            if (!request.Url.StartsWith(_address, StringComparison.Ordinal)
                && !request.Url.StartsWith("data:", StringComparison.Ordinal))
            {
                Elsewhere.Add(request.Url);
            }
        };
        Page.PageError += (_, error) => Errors.Add(error);
        await Page.GotoAsync(_address);
        await Page.GetByLabel("Token").FillAsync(token);
        await Button("Use it").ClickAsync();
        await Page.Locator("#templates .state", new() { HasTextString = "ready" }).First.WaitForAsync();
    }

    internal ILocator Button(string name) =>
        Page.GetByRole(AriaRole.Button, new() { Name = name, Exact = true });

    internal Task VmText(string text) =>
        Page.Locator("#vms").GetByText(text, new() { Exact = true }).First.WaitForAsync();

    internal Task TextOf(string id, string text) =>
        Page.Locator($"#{id}", new() { HasTextRegex = new($"^{text}$") }).WaitForAsync();

    /// <summary>Waits until what is said to all readers has this in it.</summary>
    internal Task Said(string text) => Page.Locator("#said", new() { HasTextString = text }).WaitForAsync();

    internal Task<string> Focused() => Page.EvaluateAsync<string>("document.activeElement.getAttribute('aria-label')");

    internal Task<int> Width() => Page.EvaluateAsync<int>("document.documentElement.scrollWidth");

    internal async Task PictureAsync(string name)
    {
        if (Environment.GetEnvironmentVariable("QUIETUS_SCREENSHOTS") is { Length: > 0 } folder)
        {
            string path = Path.Combine(folder, name + ".png");
            await Page.ScreenshotAsync(new PageScreenshotOptions { Path = path, FullPage = true });
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _browser.DisposeAsync();
        _playwright.Dispose();
    }
}
