# A reader who tries what a text shows: at a shell's prompt, which is a process of its own, and in terminals beside it.

$script:markers = 0

function Get-Shell {
    <#
    .SYNOPSIS
        The command line of the shell that runs this: installed, or out of PowerShell's package.
    #>
    [CmdletBinding()]
    [OutputType([string[]])]
    param()

    [string[]] $words = [Environment]::ProcessPath
    if ([System.IO.Path]::GetFileName($words[0]) -eq 'dotnet') { $words += 'exec', "$PSHOME/pwsh.dll" }
    $words
}

function Write-Program {
    <#
    .SYNOPSIS
        A program in the reader's path: a script of sh.
    #>
    [CmdletBinding()]
    param([string] $Path, [string] $Text)

    [System.IO.File]::WriteAllText($Path, "#!/bin/sh`n$Text`n")
    [System.IO.File]::SetUnixFileMode($Path, [System.IO.UnixFileMode]'UserRead, UserWrite, UserExecute')
}

function Open-Reader {
    <#
    .SYNOPSIS
        A reader in a folder that looks like a clone, with pwsh, dotnet and ssh in the path.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([Parameter(Mandatory)] [string] $Root)

    $folder = [System.IO.Directory]::CreateTempSubdirectory('reader').FullName
    $reader = @{
        Folder = $folder; Clone = "$folder/clone"; Links = [System.Collections.Generic.List[string]]::new(); Shell = @(Get-Shell)
        Terminals = [System.Collections.Generic.List[hashtable]]::new(); Ports = @{}; SkipRest = ''
    }
    foreach ($name in 'clone', 'bin', 'modules') { $null = [System.IO.Directory]::CreateDirectory("$folder/$name") }
    $link = { param($at, $to) $null = [System.IO.File]::CreateSymbolicLink($at, $to); $reader.Links.Add($at) }
    foreach ($name in 'C10kServer.psd1', 'C10kServer.psm1', 'bin', 'Formats', 'en-US') { & $link "$folder/clone/$name" "$Root/$name" }
    & $link "$folder/modules/C10kServer" $Root
    $pester = Get-Module Pester | Where-Object Version
    if ($pester) { & $link "$folder/modules/Pester" $pester.ModuleBase }

    $quoted = $reader.Shell.ForEach({ "'$_'" }) -join ' '

    # What starts it may not hand the environment on: sshd and systemd-socket-activate do not.
    Write-Program "$folder/bin/pwsh" "export NO_COLOR=1 PSModulePath='$folder/modules:${env:PSModulePath}'`nexec $quoted `"`$@`""
    $clients = Find-TestProgram -Folder "$Root/Tests/Clients" -Name C10kServer.Clients
    $programs = @(
        "'run --project Tests/Host') shift 3; [ `"`$1`" = -- ] && shift; exec $quoted -ConfigurationFile '$Root/Tests/Host/Session.pssc' `"`$@`";;"
        "'run --project Tests/Clients') shift 3; [ `"`$1`" = -- ] && shift; exec '$($clients.Dotnet)' exec '$($clients.Path)' `"`$@`";;"
    )
    Write-Program "$folder/bin/dotnet" "case `"`$1 `$2 `$3`" in`n$($programs -join "`n")`n*) echo `"dotnet `$*: not here`" >&2; exit 97;;`nesac"

    $reader
}

function Open-Prompt {
    <#
    .SYNOPSIS
        The reader's shell, with the module imported.
    #>
    [CmdletBinding()]
    param([hashtable] $Reader)

    $Reader.Prompt = Open-Terminal $Reader (@($Reader.Shell) + '-NoLogo', '-NoProfile', '-NonInteractive', '-Command', '-')
    $null = Invoke-Prompt $Reader "Import-Module '$($Reader.Clone)/C10kServer.psd1'"
}

function Open-Terminal {
    <#
    .SYNOPSIS
        A process with its input, its output and its errors, in a group of its own, as a terminal would start it.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([hashtable] $Reader, [string[]] $Words)

    # A shell that runs in the background hands ignored interrupts on, and then Ctrl+C would do nothing.
    $start = [System.Diagnostics.ProcessStartInfo]::new('/usr/bin/env')
    foreach ($word in @('--default-signal=INT', 'setsid') + $Words) { $start.ArgumentList.Add($word) }
    $start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
    $start.WorkingDirectory = $Reader.Clone
    $start.Environment['PATH'] = "$($Reader.Folder)/bin:${env:PATH}:/usr/sbin:/sbin"
    $start.Environment['PSModulePath'] = "$($Reader.Folder)/modules:${env:PSModulePath}"
    $start.Environment['NO_COLOR'] = '1'
    $start.Environment['TERM'] = 'dumb'
    $process = [System.Diagnostics.Process]::Start($start)
    $terminal = @{
        Process = $process
        Output = @{ Stream = $process.StandardOutput; Lines = [System.Collections.Generic.List[string]]::new() }
        Errors = @{ Stream = $process.StandardError; Lines = [System.Collections.Generic.List[string]]::new() }
    }
    foreach ($side in $terminal.Output, $terminal.Errors) { $side.Next = $side.Stream.ReadLineAsync() }
    $terminal
}

function Read-Side {
    <#
    .SYNOPSIS
        Takes what lines have come.
    #>
    [CmdletBinding()]
    [OutputType([void])]
    param([hashtable] $Side)

    while ($null -ne $Side.Next -and $Side.Next.IsCompleted) {
        if ($null -eq $Side.Next.Result) { $Side.Next = $null } else {
            $Side.Lines.Add($Side.Next.Result)
            $Side.Next = $Side.Stream.ReadLineAsync()
        }
    }
}

function Wait-Terminal {
    <#
    .SYNOPSIS
        Waits until what has come is enough.
    #>
    [CmdletBinding()]
    param([hashtable] $Terminal, [scriptblock] $Enough, [string] $For, [int] $Seconds = 30)

    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        Read-Side $Terminal.Output
        Read-Side $Terminal.Errors
        if (& $Enough) { return }
        if ($clock.Elapsed.TotalSeconds -gt $Seconds) {
            $there = @($Terminal.Output.Lines) + $Terminal.Errors.Lines
            throw "Not within $Seconds s: $For. There was:`n$($there[0..20] -join "`n")"
        }

        [System.Threading.Thread]::Sleep(5)
    }
}

function Send-Interrupt {
    <#
    .SYNOPSIS
        Ctrl+C.
    #>
    [CmdletBinding()]
    param([hashtable] $Terminal)

    $kill = [System.Diagnostics.Process]::Start('/bin/kill', @('-INT', '--', "-$($Terminal.Process.Id)"))
    $kill.WaitForExit()
}

function Invoke-Prompt {
    <#
    .SYNOPSIS
        Types at the prompt, and returns what came; fails on an error. With -Shown it goes on, until this has come and Ctrl+C is pressed.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([hashtable] $Reader, [string] $Text, [string[]] $Shown)

    if (-not $Reader.Prompt) { Open-Prompt $Reader }
    $terminal = $Reader.Prompt
    $terminal.Output.Lines.Clear()
    $terminal.Errors.Lines.Clear()
    $terminal.Process.StandardInput.Write("$Text`n`n")
    $terminal.Process.StandardInput.Flush()
    if ($Shown) {
        try {
            Wait-Terminal $terminal { Test-Shape $Shown $terminal.Output.Lines -Begun } -For "$Text with what is shown"
        } finally {
            Send-Interrupt $terminal
        }
    }

    # On both sides, so that an error cannot come after its command was found good. By the host, as the prompt may be a remote one.
    $marker = "-- $((++$script:markers)) --"
    $terminal.Process.StandardInput.Write("`$Host.UI.WriteLine('$marker'); `$Host.UI.WriteErrorLine('$marker')`n")
    $terminal.Process.StandardInput.Flush()
    Wait-Terminal $terminal { $terminal.Output.Lines.Contains($marker) -and $terminal.Errors.Lines.Contains($marker) } -For $Text
    $problems = @($terminal.Errors.Lines) -ne $marker
    if ($problems) { throw "$Text`n$($problems -join "`n")" }
    @($terminal.Output.Lines) -ne $marker
}

function Invoke-Terminal {
    <#
    .SYNOPSIS
        Types in a terminal of its own; what shows something is left running once that has come.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([hashtable] $Reader, [string] $Text, [string[]] $Shown)

    $terminal = Open-Terminal $Reader 'sh', '-c', "exec 2>&1`n$Text"
    $Reader.Terminals.Add($terminal)
    if (-not $Shown) { $terminal.Process.StandardInput.Close() }
    $over = { $null -eq $terminal.Output.Next -and $terminal.Process.HasExited }
    Wait-Terminal $terminal { (& $over) -or ($Shown -and (Test-Shape $Shown $terminal.Output.Lines)) } -For $Text
    if ((& $over) -and $terminal.Process.ExitCode -ne 0) { throw "$Text ended with $($terminal.Process.ExitCode):`n$($terminal.Output.Lines -join "`n")" }
    $terminal.Output.Lines
}

function Close-Reader {
    <#
    .SYNOPSIS
        Ends all that was started, and removes the folder; fails where something does not end when it is asked to.
    #>
    [CmdletBinding()]
    param([hashtable] $Reader)

    # Out of a remote prompt first, where there is one.
    if ($Reader.Prompt -and -not $Reader.Prompt.Process.HasExited) { $Reader.Prompt.Process.StandardInput.Write("exit`n`nexit`n`n") }
    $stubborn = foreach ($terminal in @($Reader.Prompt) + $Reader.Terminals) {
        if (-not $terminal) { continue }
        $process = $terminal.Process
        if (-not $process.HasExited) {
            $process.StandardInput.Close()
            if (-not $process.WaitForExit(2000)) { Send-Interrupt $terminal }
            if (-not $process.WaitForExit(10000)) {
                "$($process.StartInfo.ArgumentList)"
                $process.Kill($true)
            }
        }

        $process.Dispose()
    }

    # The links first: what they lead to is not the reader's.
    foreach ($link in $Reader.Links) { [System.IO.File]::Delete($link) }
    [System.IO.Directory]::Delete($Reader.Folder, $true)
    if ($stubborn) { throw "Not ended within 10 s of Ctrl+C: $stubborn" }
}

function Resolve-Port {
    <#
    .SYNOPSIS
        Ports that are free here, for those that are written down.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([hashtable] $Reader, [string] $Text)

    $ports = $Reader.Ports
    [regex]::Replace($Text, '\b700[7-9]\b', {
            param($match)
            if (-not $ports[$match.Value]) {
                $listener = [System.Net.Sockets.TcpListener]::new([System.Net.IPAddress]::Loopback, 0)
                $listener.Start()
                $ports[$match.Value] = $listener.LocalEndpoint.Port
                $listener.Stop()
            }

            "$($ports[$match.Value])"
        })
}

Export-ModuleMember -Function Open-Reader, Close-Reader, Invoke-Prompt, Invoke-Terminal, Resolve-Port, Write-Program
