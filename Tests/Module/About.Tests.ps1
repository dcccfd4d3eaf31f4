# Types what the about topics show, section by section, as a reader would: each block is taken from there, runs without an error, and
# does what is said of it. A block that no way to run is known for fails, and so does a way that no block takes.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    Import-Module "$PSScriptRoot/Documents/Topic.psm1"
    $folder = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/en-US"
    $sections = [System.IO.Directory]::GetFiles($folder, 'about_*.help.txt') | Sort-Object | ForEach-Object { Read-Topic $_ }
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/Documents/Readme.psm1"
    Import-Module "$PSScriptRoot/Documents/Reader.psm1"
    Import-Module "$PSScriptRoot/Documents/Topic.psm1"
    $find = { param($name) @(foreach ($folder in "$env:PATH".Split(':')) { if ([System.IO.File]::Exists("$folder/$name")) { "$folder/$name" } })[0] }

    # What the reader has at hand: visitors to talk with, and patience.
    $hands = "Import-Module '$PSScriptRoot/../Clients/TestClient.psm1', '$PSScriptRoot/../Clients/Talk.psm1'"
    $echo = '$server = Start-C10kServer -Framing Line -ScriptBlock { $_ }; '
    $listed = { param($reason) @{ Listed = $reason } }

    # By topic and section, and there by what a block contains. Setup, Before (statements that contain this) and Prefix are what the reader
    # adds; Check is true afterwards; Shown, Begun, Says and Line are what comes. With File or Command it is a test file; with Rows a table
    # whose second column is run, row by row; Listed is why there is nothing to run, and has names looked up all the same by Members.
    $ways = @{
        'about_C10kServer: LONG DESCRIPTION' = @{
            'Start-C10kServer' = @{
                Before = @{ 'Where-Object State' = '$talk = Open-Talk $s; Wait-Until { $s.ConnectionCount -eq 1 }' }
                Check = '$s.WorkerCount -eq 8 -and $s.ConnectionCount -eq 1'
            }
        }
        'about_C10kServer: THE OBJECTS' = @{
            'Opening ' = & $listed 'the values of an enum'
            'PeerClosed ' = & $listed 'the values of an enum'
        }
        'about_C10kServer: WHAT A SERVER SPEAKS' = @{
            'Echo ' = & $listed 'the values of -Protocol'
            'Start-C10kServer' = @{ Prefix = '$server = '; Check = '(Invoke-Talk $server "abc`n") -ceq "ABC`n"' }
        }
        'about_C10kServer: EVENTS' = @{
            'Register-ObjectEvent' = @{
                Setup = '$s = Start-C10kServer'
                Prefix = '$job = '
                Check = '$null = Invoke-Talk $s; Wait-Until { ($script:said = Receive-Job $job) }; $said -eq "127.0.0.1 PeerClosed"'
            }
        }
        'about_C10kServer: LIMITS AND DEADLINES' = @{
            'CloseReason' = @{
                Setup = '$s = Start-C10kServer -IdleTimeout 0.1; $talk = Open-Talk $s; $null = Read-Talk $talk; Close-Talk $talk; ' +
                '$null = Invoke-Talk $s; Wait-Until { $s.Closed -eq 2 }'
                Prefix = '$rows = '
                Check = '@($rows).Count -eq 1 -and $rows.CloseReason -eq "IdleTimeout"'
            }
        }
        'about_C10kServer: WHILE IT RUNS' = @{
            'Running ' = & $listed 'the values of an enum'
            'Wait-C10kServer' = @{
                Setup = '$null = Start-C10kServer -Name web; $talks = @(1..100 | ForEach-Object { Open-Talk (Get-C10kServer web) })'
                Check = '(Get-C10kServer web).ConnectionCount -eq 100'
            }
        }
        'about_C10kServer: LOGS' = @{
            'HandlerFailed' = @{
                Setup = '$s = Start-C10kServer -Name web -LogPath ./log -Framing Line -ScriptBlock { throw "no such user" }; ' +
                '$null = Invoke-Talk $s "x`n"; Wait-Until { [System.IO.File]::ReadAllText("$PWD/log") -match "HandlerFailed" }'
                Line = '[System.IO.File]::ReadAllLines("$PWD/log") -match " Error "'
            }
        }
        'about_C10kServer: METRICS' = @{
            'Instrument ' = & $listed 'names, which Metrics.Tests.ps1 compares'
            'Metric ' = & $listed 'names, which Metrics.Tests.ps1 compares'
        }
        'about_C10kServer: ERRORS' = @{
            'Category' = & $listed 'error ids and their categories'
            'try ' = @{ Setup = '$s = Start-C10kServer -Port 7007'; Shown = 'taken' }
        }
        'about_C10kServer_Handlers: SCRIPT HANDLERS' = @{
            '$ConnectionState.Count' = @{
                Check = '(Invoke-Talk $server "a`nb`n") -eq "a is your line number 1`nb is your line number 2`n"'
            }
            'nc ' = @{ Needs = 'nc'; Prefix = "'hello' | "; Begun = 'hello is your line number 1' }
            '$ConnectionState  ' = & $listed 'variables'
            'param($Connection' = @{
                Prefix = '$named = Start-C10kServer -Framing Line '
                Check = '(Invoke-Talk $named "abc`n") -ceq "ABC`n"'
            }
            '::new()' = @{ Check = '$counts["a"] = 1; $queue.Enqueue($counts); $counts["a"] -eq 1 -and $queue.Count -eq 1' }
            'Delimiter ' = & $listed 'the values of -Framing'
            'SendFrame' = @{
                Listed = 'members, which are those that there are'
                Setup = '$s = Start-C10kServer -Framing Line -ScriptBlock { $Connection | Get-Member | ForEach-Object Name }; ' +
                '$members = (Invoke-Talk $s "x`n") -split "`n"'
                Members = '$members'
            }
        }
        'about_C10kServer_Handlers: COMPILED HANDLERS' = @{
            'Add-Type' = @{ Check = '(Invoke-Talk $server "one`ntwo`nthree") -ceq "2 lines`n"' }
            'nc ' = @{
                Needs = 'nc', '/etc/services'
                Prefix = '$told = '
                Check = '$told -ceq "$([System.IO.File]::ReadAllLines("/etc/services").Count) lines"'
            }
            'OnDrained' = & $listed 'methods'
        }
        'about_C10kServer_Testing: A SERVER FOR A TEST FILE' = @{
            'Describe ' = @{
                Command = 'pwsh -NoProfile -Command "Invoke-Pester ./Mine.Tests.ps1 -CI; Get-C10kServer"'
                Says = 'Tests Passed: 1, Failed: 0, [^\r\n]*$'
            }
            '$seen' = @{ Check = '$null = Invoke-Talk $server "ping`n"; Wait-Until { $seen.Count -eq 1 }; "$seen" -eq "ping"' }
        }
        'about_C10kServer_Testing: WAITING WITHOUT SLEEPING' = @{
            '-ConnectionCount' = @{
                Setup = $echo + '$talks = @(1..3 | ForEach-Object { Open-Talk $server })'
                Before = @{
                    # Somebody who comes again and again, as nobody knows when the watch has begun.
                    'Watch-C10kConnection' = '$over = [System.Threading.ManualResetEventSlim]::new(); ' +
                    '$guest = [powershell]::Create().AddScript({ param($port, $over) ' +
                    'do { [System.Net.Sockets.TcpClient]::new("127.0.0.1", $port).Dispose() } until ($over.Wait(20)) })' +
                    '.AddArgument($server.Port).AddArgument($over); $visits = $guest.BeginInvoke()'
                    '-State Stopped' = '$over.Set(); $guest.EndInvoke($visits); Stop-C10kServer $server.Name'
                }
                Check = '@($next).Count -eq 1 -and $server.State -eq "Stopped"'
            }
        }
        'about_C10kServer_Testing: ORDER' = @{
            '-HandlerCount' = @{
                Setup = '$seen = [System.Collections.Concurrent.ConcurrentQueue[string]]::new()'
                Check = '$talk = Open-Talk $server; Send-Talk $talk "x"; Wait-Until { $seen.Count -eq 1 }; "$seen" -match "^\d+: x$"'
            }
        }
        'about_C10kServer_Testing: LOOKING' = @{
            'Should' = @{
                Setup = $echo + '$talk = Open-Talk $server; Send-Talk $talk "1`n2`n3`n"; $null = Read-Talk $talk 6'
                Before = @{ '-Closed' = 'Close-Talk $talk; Wait-Until { $server.Closed -eq 1 }' }
                Check = '$true'
            }
        }
        'about_C10kServer_Testing: DISTURBING' = @{
            'Stop-C10kServer' = @{
                Prefix = '$null = Start-C10kServer -Framing Line -Name web '
                Setup = '$server = Start-C10kServer -Name web -Framing Line -ScriptBlock { $_ }; ' +
                '$port = $server.Port; $talk = Open-Talk $server; Send-Talk $talk "a`n"; $null = Read-Talk $talk -Line'
                Rows = @{
                    'Stop-C10kServer' = '$server.State -eq "Stopped" -and -not (Get-C10kServer)'
                    'Restart-C10kServer' = '$server.State -eq "Running" -and $server.Port -eq $port -and $server.ConnectionCount -eq 0'
                    'Suspend-C10kServer' = '$server.State -eq "Suspended"'
                    'Suspend-C10kConnection' = 'Wait-Until { (Get-C10kConnection web).ReadPaused }; $true'
                    'Close-C10kConnection -Reset' = 'try { $null = Read-Talk $talk; $false } catch { $true }; ' +
                    'Wait-Until { $server.Closed -eq 1 }; (Get-C10kConnection web -Closed).CloseReason -eq "AdminClosed"'
                    'Close-C10kConnection' = '(Read-Talk $talk) -eq ""; Close-Talk $talk; Wait-Until { $server.Closed -eq 1 }; ' +
                    '(Get-C10kConnection web -Closed).CloseReason -eq "AdminClosed"'
                    'Set-C10kServer' = '$talk = Open-Talk $server; Wait-Until { $server.Rejected -eq 1 }; $server.ConnectionCount -eq 1'
                    '{ }' = '$talk = Open-Talk (Get-C10kServer web); Send-Talk $talk "x`n"; ' +
                    'Wait-Until { (Get-C10kConnection web).MessagesReceived }; (Get-C10kConnection web).BytesSent -eq 0'
                    'Start-Sleep 1' = '$clock = [System.Diagnostics.Stopwatch]::StartNew(); ' +
                    '(Invoke-Talk (Get-C10kServer web) "x`n") -eq "x`n"; $clock.Elapsed.TotalSeconds -ge 1'
                    'Abort()' = '$server = Get-C10kServer web; $talk = Open-Talk $server; Send-Talk $talk "x`n"; ' +
                    'Wait-Until { $server.Closed -eq 1 }; (Get-C10kConnection web -Closed).CloseReason -eq "Aborted"'
                }
            }
        }
        'about_C10kServer_Testing: MOCKING THESE CMDLETS' = @{
            'Mock Stop-C10kServer' = @{
                File = 'Mocked.Tests.ps1'
                Rest = ''
                Check = '$run = Invoke-Pester ./Mocked.Tests.ps1 -PassThru -Output None; $run.PassedCount -eq 2 -and $run.FailedCount -eq 0'
            }
        }
        'about_C10kServer_Testing: LEAVING NOTHING' = @{
            'AfterAll' = @{
                File = 'Mine.Tests.ps1'
                Rest = "`nDescribe 'It' { It 'is' { `$true | Should -BeTrue } }"
                Check = '$run = { (Invoke-Pester ./Mine.Tests.ps1 -PassThru -Output None).Result }; (& $run) -eq "Passed"; ' +
                '$s = Start-C10kServer; (& $run) -eq "Failed"; Stop-C10kServer $s.Name'
            }
            '-Drain' = @{ Setup = $echo + '$null = Invoke-Talk $server "a`n"'; Check = '$server.State -eq "Stopped"' }
        }
        'about_C10kServer_Testing: IN A BUILD PIPELINE' = @{
            'pwsh ' = @{
                Around = "Describe 'It' { It 'is' { Get-Module C10kServer | Should -Not -BeNullOrEmpty } }"
                Says = 'Tests Passed: 1, Failed: 0'
            }
            'Invoke-C10kLoad' = @{
                Setup = '$server = Start-C10kServer'
                Prefix = '$result = '
                Check = '$result.Connections -eq 100 -and $result.Requests -gt 1000 -and $server.Accepted -ge 100'
            }
        }
    }

    function Find-Way($from, [string] $text, [string] $where) {
        # Where one key contains another, the longer one is meant.
        $keys = @($from.Keys.Where({ $text.Contains($_) }) | Sort-Object Length -Descending)
        if (-not $keys -or ($keys.Count -gt 1 -and -not $keys[0].Contains($keys[1]))) {
            throw "${where}: the test knows $($keys.Count) ways to run this: $text"
        }

        $keys[0]
    }

    function Confirm-Truth($reader, [string] $check, [string] $because) {
        $null = Invoke-Prompt $reader "`$truths = . { $check }"
        Invoke-Prompt $reader '$truths' | Select-Object -Unique | Should -BeExactly True -Because "$because, so that $check"
    }

    # An empty line would end what is typed: that goes by a file.
    function Step-Block($reader, [string] $text) {
        if ($text.Contains("`n`n")) {
            [System.IO.File]::WriteAllText("$($reader.Clone)/step.ps1", $text)
            $text = '. ./step.ps1'
        }

        Invoke-Prompt $reader $text
    }
}

Describe '<Topic>: <Section>' -ForEach $sections {
    BeforeAll {
        $reader = Open-Reader $root
        $known = $ways["${Topic}: $Section"]
        $used = [System.Collections.Generic.HashSet[string]]::new()
        $null = [System.IO.Directory]::CreateDirectory("$($reader.Folder)/modules/MyClient")
        [System.IO.File]::WriteAllText("$($reader.Folder)/modules/MyClient/MyClient.psm1", @"
function Invoke-MyClient([int] `$Port, [string] `$Say) {
    Import-Module '$PSScriptRoot/../Clients/Talk.psm1'
    (Invoke-Talk @{ Port = `$Port } "`$Say``n").TrimEnd()
}
"@)
        if ($known.Values.Where({ -not $_.Listed -or $_.Setup })) { $null = Invoke-Prompt $reader $hands }
    }

    AfterAll {
        Close-Reader $reader
    }

    It '<Title>' -ForEach $Blocks {
        $where = "$Topic, line $Line"
        $key = Find-Way -From $known -Text $Text -Where $where
        $null = $used.Add($key)
        $way = $known[$key]
        foreach ($need in $way.Needs) {
            $there = $need.StartsWith('/') ? [System.IO.File]::Exists($need) : (& $find $need)
            if (-not $there) { Set-ItResult -Skipped -Because "there is no $need" }
        }

        if ($way.Setup -and -not $way.Rows) { $null = Invoke-Prompt $reader (Resolve-Port $reader $way.Setup) }
        if ($way.Listed) {
            $Text | Should -Not -Match '(?m)^(\w+-\w+ |try|\$\w+ =|@|&|\.)' -Because "$where is $($way.Listed), and no code"
            if ($way.Members) {
                $there = Invoke-Prompt $reader $way.Members
                $names = [regex]::Matches($Text, '(?m)^\w+|(?<=^(?:\w+, )+)\w+').Value
                foreach ($name in $names) { $there | Should -Contain $name -Because $where }
            }
        } elseif ($way.Line) {
            $line = (Invoke-Prompt $reader $way.Line) -replace '\d', '0'
            $line | Should -BeExactly ($Text -replace "`n", ' ' -replace '\d', '0') -Because $where
        } elseif ($way.Says) {
            # By a shell of its own, as the module is imported by it.
            [System.IO.File]::WriteAllText("$($reader.Clone)/Mine.Tests.ps1", ($way.Command ? $Text : $way.Around))
            (Invoke-Terminal $reader ($way.Command ? $way.Command : $Text)) -join "`n" | Should -Match $way.Says -Because $where
        } elseif ($way.File) {
            [System.IO.File]::WriteAllText("$($reader.Clone)/$($way.File)", $Text + $way.Rest)
            Confirm-Truth -Reader $reader -Check $way.Check -Because $where
        } elseif ($way.Rows) {
            $tried = foreach ($row in Read-TopicRow $Text) {
                $rowKey = Find-Way -From $way.Rows -Text $row.Text -Where "$where, $($row.Label)"
                $given = $row.Text.StartsWith('-')
                if (-not $given) { $null = Invoke-Prompt $reader $way.Setup }
                $null = Step-Block $reader ($given ? $way.Prefix + $row.Text : $row.Text)
                Confirm-Truth -Reader $reader -Check $way.Rows[$rowKey] -Because "$where, $($row.Label)"
                $null = Invoke-Prompt $reader 'Close-Talk; Get-C10kServer | Stop-C10kServer'
                $rowKey
            }

            $tried | Sort-Object | Should -Be ($way.Rows.Keys | Sort-Object) -Because 'each way is taken by a row'
        } elseif ($way.Begun) {
            $null = Invoke-Prompt $reader ($way.Prefix + $Text) -Shown $way.Begun
        } else {
            $fragment = $Text.StartsWith('-')
            $statements = if ($fragment) { , ($way.Prefix + $Text) } else { Split-Statement $Text }
            $came = foreach ($statement in $statements) {
                foreach ($before in $way.Before.Keys) {
                    if ($statement.Contains($before)) { $null = Invoke-Prompt $reader $way.Before[$before] }
                }

                Step-Block $reader (Resolve-Port $reader ($fragment ? $statement : $way.Prefix + $statement))
            }

            if ($way.Shown) { $came | Should -BeExactly $way.Shown -Because $where } else { Confirm-Truth -Reader $reader -Check $way.Check -Because $where }
        }
    }

    It 'takes each way that the test knows' {
        $used | Sort-Object | Should -Be ($known.Keys | Sort-Object)
    }
}

Describe 'The about topics' {
    It 'have each section that the test knows' -ForEach @{ Found = @($sections.ForEach({ "$($_.Topic): $($_.Section)" })) } {
        $Found | Sort-Object | Should -Be ($ways.Keys | Sort-Object)
    }
}
