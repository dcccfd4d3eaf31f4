# The embedded host, from outside: what it prints, what it ends with, and what signals do to it.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $found = @([System.IO.Directory]::GetFiles("$PSScriptRoot/Host", 'C10kServer.Host.dll', 'AllDirectories') -notmatch '/(obj|ref)/')
    $notBuilt = $found.Count -eq 0
}

Describe 'The embedded host' -Skip:$notBuilt {
    BeforeAll {
        # The newest build: a machine may have a Debug and a Release one.
        $dll = $null
        foreach ($path in [System.IO.Directory]::GetFiles("$PSScriptRoot/Host", 'C10kServer.Host.dll', 'AllDirectories')) {
            if ($path -match '/(obj|ref)/') { continue }
            if (-not $dll -or [System.IO.File]::GetLastWriteTimeUtc($path) -gt [System.IO.File]::GetLastWriteTimeUtc($dll)) { $dll = $path }
        }

        $runtime = [System.Runtime.InteropServices.RuntimeEnvironment]::GetRuntimeDirectory()
        $dotnet = [System.IO.Path]::GetFullPath([System.IO.Path]::Combine($runtime, '../../../dotnet'))
        if (-not [System.IO.File]::Exists($dotnet)) { $dotnet = 'dotnet' }

        function Open-TestHost {
            param([string[]] $Argument, [switch] $WithModule)

            $start = [System.Diagnostics.ProcessStartInfo]::new($dotnet)
            $start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
            $all = @('exec'; $dll; if (-not $WithModule) { '-NoModule' }; if ($Argument) { $Argument })
            foreach ($text in $all) { $start.ArgumentList.Add($text) }
            [System.Diagnostics.Process]::Start($start)
        }

        function Wait-TestHost {
            param($Process, [int] $Seconds = 30)

            $out = $Process.StandardOutput.ReadToEndAsync()
            $err = $Process.StandardError.ReadToEndAsync()
            if (-not $Process.WaitForExit($Seconds * 1000)) {
                $Process.Kill($true)
                throw "The host did not end within $Seconds s."
            }

            @{ Code = $Process.ExitCode; Out = $out.Result.Trim(); Err = $err.Result.Trim() }
        }

        function Invoke-TestHost {
            param([string[]] $Argument, [string] $Text = '', [switch] $WithModule)

            $process = Open-TestHost -Argument $Argument -WithModule:$WithModule
            $process.StandardInput.Write($Text)
            $process.StandardInput.Close()
            Wait-TestHost -Process $process
        }

        function Invoke-TestScript {
            param([string] $Text, [string[]] $Argument)

            $script = [System.IO.Path]::Combine($TestDrive, 'script.ps1')
            [System.IO.File]::WriteAllText($script, $Text)
            Invoke-TestHost -Argument (@('-File', $script) + $Argument)
        }

        # Runs a command that prints 'begun' first, and returns the process once it has.
        function Open-BusyTestHost {
            param([string[]] $Argument, [string] $Text)

            $process = Open-TestHost -Argument $Argument
            if ($Text) {
                $process.StandardInput.Write($Text)
                $process.StandardInput.Flush()
            }

            $line = $process.StandardOutput.ReadLineAsync()
            if (-not $line.Wait(30000) -or $line.Result -ne 'begun') {
                $process.Kill($true)
                throw "The host printed '$($line.Result)' and not 'begun'."
            }

            $process
        }

        function Send-Signal {
            param($Process, [string] $Name)

            $kill = [System.Diagnostics.Process]::Start('/bin/kill', "-$Name $($Process.Id)")
            $kill.WaitForExit()
        }
    }

    Context '-Command' {
        BeforeAll {
            $confirming = @'
function Test-Confirm { [CmdletBinding(SupportsShouldProcess)] param() if ($PSCmdlet.ShouldProcess('x')) { 'done' } }
Test-Confirm -Confirm
'@
        }

        It 'ends with <Code> after <Command>' -ForEach @(
            @{ Command = '1'; Code = 0 }
            @{ Command = 'exit 7'; Code = 7 }
            @{ Command = 'throw "x"'; Code = 1 }
            @{ Command = 'no-such-command'; Code = 1 }
            @{ Command = 'no-such-command; 1'; Code = 0 }
            @{ Command = '/bin/false'; Code = 1 }
            @{ Command = 'if ('; Code = 1 }
        ) {
            (Invoke-TestHost -Argument '-Command', $Command).Code | Should -Be $Code
        }

        It 'takes the rest of the line, dashes included' {
            (Invoke-TestHost -Argument '-c', '"a b"', '-replace', '"a", "c"').Out | Should -Be 'c b'
        }

        It 'reads the command from standard input for -' {
            (Invoke-TestHost -Argument '-Command', '-' -Text "if (`$true) {`n  'read'`n}").Out | Should -Be 'read'
        }

        It 'prints a terminating error once, on standard error' {
            $result = Invoke-TestHost -Argument '-Command', 'throw "only-once"'
            $result.Out | Should -BeNullOrEmpty
            [regex]::Matches($result.Err, 'only-once').Count | Should -Be 1
        }

        It 'prints what is wrong with a command that does not parse: <_>' -ForEach 'if (', '1 +', 'param( }', '"' {
            (Invoke-TestHost -Argument '-Command', $_).Err | Should -Match '^ParserError: '
        }

        It 'prints errors without colours where they are redirected' {
            $result = Invoke-TestHost -Argument '-Command', 'no-such-command'
            $result.Err | Should -Match "^no-such-command: The term 'no-such-command' is not recognized"
            $result.Err.Contains([char]27) | Should -BeFalse
        }

        It 'knows the aliases of the engine' {
            $command = '@{ State = "Closing" }, @{ State = "Open" } | Where State -eq Closing | % State',
            '1, 2 | ? { $_ -gt 1 } | foreach { $_ * 2 }' -join "`n"
            (Invoke-TestHost -Argument '-Command', $command).Out -split '\s+' | Should -Be 'Closing', '4'
        }

        It 'shows warnings and verbose messages as pwsh does, and no progress' {
            $result = Invoke-TestHost -Argument '-Command', @'
function Test-Stream {
    [CmdletBinding()] param()
    $PSCmdlet.WriteWarning('w')
    $PSCmdlet.WriteVerbose('v')
    $PSCmdlet.WriteInformation('i', @())
    $PSCmdlet.WriteProgress([Management.Automation.ProgressRecord]::new(1, 'activity', 'status'))
}
Test-Stream -Verbose -InformationAction Continue
'@
            $result.Out -split "`n" | Should -Be 'WARNING: w', 'VERBOSE: v', 'i'
            $result.Err | Should -BeNullOrEmpty
        }

        It 'takes no end of input for an answer' {
            $result = Invoke-TestHost -Argument '-Command', $confirming
            $result.Out | Should -Not -Match 'done'
            $result.Err | Should -Match 'Standard input has ended'
        }

        It 'asks for what -Confirm confirms' {
            $result = Invoke-TestHost -Text "y`n" -Argument '-Command', $confirming
            $result.Out | Should -Match 'done$'
        }

        It 'imports the module' {
            $result = Invoke-TestHost -WithModule -Argument '-Command', '(Get-Module C10kServer).Path'
            [System.IO.Path]::GetDirectoryName($result.Out) | Should -Be ([System.IO.Path]::GetDirectoryName($PSScriptRoot))
        }

        It 'has the current directory of its caller' {
            (Invoke-TestHost -Argument '-WorkingDirectory', '/', '-Command', '"$PWD"').Out | Should -Be '/'
        }
    }

    Context '-File' {
        It 'ends with <Code> after <Text>' -ForEach @(
            @{ Text = '1'; Code = 0 }
            @{ Text = 'exit 7'; Code = 7 }
            @{ Text = 'throw "x"'; Code = 1 }
            @{ Text = 'no-such-command'; Code = 0 }
            @{ Text = '/bin/false'; Code = 0 }
            @{ Text = 'param('; Code = 1 }
        ) {
            (Invoke-TestScript -Text $Text).Code | Should -Be $Code
        }

        It 'binds parameters, switches and the rest' {
            $text = 'param([string] $Name, [switch] $On, [switch] $Off, [Parameter(ValueFromRemainingArguments)] $Rest)',
            '"$Name $On $Off $($Rest -join ",")"' -join "`n"
            (Invoke-TestScript -Text $text -Argument '-Name', 'a b', '-On', '-Off:$false', '$x', 'y').Out | Should -Be 'a b True False $x,y'
        }

        It 'tells the script where it is' {
            $result = Invoke-TestScript -Text '$PSScriptRoot; $MyInvocation.MyCommand.Path'
            $result.Out -split "`n" | Should -Be "$TestDrive", "$TestDrive/script.ps1"
        }

        It 'says so where there is no such file' {
            $result = Invoke-TestHost -Argument '-File', "$TestDrive/none.ps1"
            $result.Code | Should -Be 64
            $result.Err | Should -Match 'does not exist'
        }
    }

    Context 'Lines of standard input' {
        It 'are run one by one, and those of a block together' {
            $result = Invoke-TestHost -Text "1 + 1`nif (`$true) {`n'block'`n}`nno-such-command`n'after'`nexit 4`n'never'`n"
            $result.Out -split "`n" | Should -Be '2', 'block', 'after'
            $result.Code | Should -Be 4
        }
    }

    Context 'Signals' {
        It 'SIGINT stops the pipeline, and the next line runs' {
            $process = Open-BusyTestHost -Text "'begun'; while (`$true) { [Threading.Thread]::Sleep(10) }`n'after'`nexit 6`n"
            Send-Signal -Process $process -Name INT
            $result = Wait-TestHost -Process $process
            $result.Out | Should -Be 'after'
            $result.Code | Should -Be 6
        }

        It 'SIGINT at the prompt changes nothing' {
            $process = Open-BusyTestHost -Text "'begun'`n"
            Send-Signal -Process $process -Name INT
            $process.StandardInput.Write("'still here'`nexit 5`n")
            $process.StandardInput.Close()
            $result = Wait-TestHost -Process $process
            $result.Out | Should -Be 'still here'
            $result.Code | Should -Be 5
        }

        It 'SIGINT ends -Command with 130' {
            $process = Open-BusyTestHost -Argument '-Command', "'begun'; while (`$true) { [Threading.Thread]::Sleep(10) }; 'after'"
            Send-Signal -Process $process -Name INT
            $result = Wait-TestHost -Process $process
            $result.Out | Should -BeNullOrEmpty
            $result.Code | Should -Be 130
        }

        It 'SIGTERM closes the runspace and ends with 143' {
            $text = @'
$closed = { [Console]::WriteLine('closed') }
$null = $ExecutionContext.Events.SubscribeEvent($null, 'PowerShell.Exiting', 'PowerShell.Exiting', $null, $closed, $true, $false)
'begun'
while ($true) { [Threading.Thread]::Sleep(10) }
'@
            $process = Open-BusyTestHost -Argument '-Command', $text
            Send-Signal -Process $process -Name TERM
            $result = Wait-TestHost -Process $process -Seconds 5
            $result.Out | Should -Be 'closed'
            $result.Code | Should -Be 143
        }
    }

    Context 'exit' {
        It 'ends the process within two seconds, whatever still runs' {
            $process = Open-BusyTestHost -Argument '-Command', @'
$other = [powershell]::Create()
$null = $other.AddScript('while ($true) { [Threading.Thread]::Sleep(600000) }').BeginInvoke()
'begun'
exit 9
'@
            $clock = [System.Diagnostics.Stopwatch]::StartNew()
            $result = Wait-TestHost -Process $process
            $result.Code | Should -Be 9
            $clock.Elapsed.TotalSeconds | Should -BeLessThan 2
        }
    }
}
