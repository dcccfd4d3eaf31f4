# Another shell for a test, of the kind that runs the test: installed, or out of PowerShell's package.

function Open-TestShell {
    <#
    .SYNOPSIS
        Starts a pwsh with a command, or with a prompt that reads lines from its standard input. No profile, and no module is imported.
    .PARAMETER Under
        A program and its first arguments, which is to run the pwsh: unshare, sh -c, ...
    #>
    [CmdletBinding()]
    [OutputType([System.Diagnostics.Process])]
    param([string] $Command, [string] $Location, [string[]] $Under)

    $pwsh = [System.Environment]::ProcessPath

    # Whoever runs the tests in the background, or under nohup, has them ignore SIGINT and SIGHUP, and an ignored signal stays ignored in a new program.
    $ignored = [System.IO.File]::ReadAllLines('/proc/self/status') -match '^SigIgn:' -replace '^SigIgn:\s*', '0x'
    if ([ulong]$ignored[0] -band 3) { $Under = @('env', '--default-signal=HUP,INT') + @($Under | Where-Object { $_ }) }
    $start = [System.Diagnostics.ProcessStartInfo]::new($(if ($Under) { $Under[0] } else { $pwsh }))
    if ($Under) { foreach ($word in @($Under | Select-Object -Skip 1) + $pwsh) { $start.ArgumentList.Add($word) } }
    $start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
    if ($Location) { $start.WorkingDirectory = $Location }

    # Neither colours nor what sets up a terminal.
    $start.Environment['NO_COLOR'] = '1'
    $start.Environment['TERM'] = 'dumb'

    # An installed pwsh is a program; in the package it is an assembly that dotnet runs.
    $words = if ([System.IO.Path]::GetFileName($pwsh) -eq 'dotnet') { 'exec', "$PSHOME/pwsh.dll" }
    foreach ($word in @($words) + '-NoLogo', '-NoProfile') { $start.ArgumentList.Add($word) }
    if ($Command) { foreach ($word in '-Command', $Command) { $start.ArgumentList.Add($word) } }
    [System.Diagnostics.Process]::Start($start)
}

function Wait-TestShell {
    <#
    .SYNOPSIS
        Waits for the end of a shell, and returns what it has written; what it has written to standard error is an error.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([Parameter(Mandatory)] [System.Diagnostics.Process] $Shell, [int] $Seconds = 60)

    try {
        $Shell.StandardInput.Close()
        $output = $Shell.StandardOutput.ReadToEndAsync()
        $errors = $Shell.StandardError.ReadToEndAsync()
        if (-not $Shell.WaitForExit($Seconds * 1000)) { throw "The shell has not ended within $Seconds s." }
        if ($errors.Result) { throw "The shell has ended with $($Shell.ExitCode): $($errors.Result)" }
        $output.Result.Trim()
    } finally {
        Close-TestShell -Shell $Shell
    }
}

function Invoke-TestShell {
    <#
    .SYNOPSIS
        Types a line, waits for the line of output that begins with a word, and returns the rest of it.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory)] [System.Diagnostics.Process] $Shell,
        [Parameter(Mandatory)] [string] $Line,
        [Parameter(Mandatory)] [string] $Until,
        [int] $Seconds = 120
    )

    $Shell.StandardInput.WriteLine($Line)
    $Shell.StandardInput.Flush()
    do {
        $answer = $Shell.StandardOutput.ReadLineAsync()
        if (-not $answer.Wait($Seconds * 1000)) { throw "The shell has not said '$Until' within $Seconds s." }
        if ($null -eq $answer.Result) { throw "The shell has ended: $($Shell.StandardError.ReadToEnd())" }
    } until ($answer.Result.StartsWith($Until, [System.StringComparison]::Ordinal))
    $answer.Result.Substring($Until.Length)
}

function Close-TestShell {
    <#
    .SYNOPSIS
        Ends a shell that has not ended by itself.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory)] [System.Diagnostics.Process] $Shell)

    if (-not $Shell.HasExited) { $Shell.Kill() }
    $Shell.Dispose()
}

Export-ModuleMember -Function Open-TestShell, Wait-TestShell, Invoke-TestShell, Close-TestShell
